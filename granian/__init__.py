"""An application server for Python: ASGI, RSGI and WSGI over HTTP."""

from . import _granian
from ._granian import __version__
from ._loops import loops
from ._procinfo import ProcInfoCollector
from .net import SocketHolder
from .server import Server as Granian

# Other projects import them from there.
vars(_granian).update(ProcInfoCollector=ProcInfoCollector, SocketHolder=SocketHolder)

__all__ = ["Granian", "__version__", "loops"]
