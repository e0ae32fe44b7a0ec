"""Servers: `Server` is the one for this build of Python, with processes, or threads where there is no GIL."""

from .._granian import BUILD_GIL
from .mp import MPServer
from .mt import MTServer

Server: type[MPServer] | type[MTServer] = MPServer if BUILD_GIL else MTServer

__all__ = ["MPServer", "MTServer", "Server"]
