"""The status listener: metrics and health of the service, from the supervisor's own thread."""

from .endpoints import Endpoints
from .listener import StatusListener

__all__ = ["Endpoints", "StatusListener"]
