"""The options of a server: one field per option, and the few values made from them."""

from .config import Config
from .fields import Option, options_of
from .protocols import protocol_options
from .tls import TlsOptions
from .worker import WorkerOptions

__all__ = ["Config", "Option", "TlsOptions", "WorkerOptions", "options_of", "protocol_options"]
