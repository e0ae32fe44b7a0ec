"""An application server for Python: ASGI, RSGI and WSGI over HTTP."""

from ._granian import __version__
from ._loops import loops
from .server import Server as Granian

__all__ = ["Granian", "__version__", "loops"]
