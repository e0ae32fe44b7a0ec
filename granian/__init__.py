"""An application server for Python: ASGI, RSGI and WSGI over HTTP."""

from . import _granian
from ._granian import __version__
from ._loops import loops
from ._procinfo import ProcInfoCollector
from .server import Server as Granian

# Other projects import it from there.
vars(_granian)["ProcInfoCollector"] = ProcInfoCollector

__all__ = ["Granian", "__version__", "loops"]
