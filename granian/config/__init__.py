"""What a server can be told: one field per option, and the few values made from them."""

from .config import Config
from .fields import NO_DEFAULT, Option, options_of
from .worker import WorkerOptions

__all__ = ["NO_DEFAULT", "Config", "Option", "WorkerOptions", "options_of"]
