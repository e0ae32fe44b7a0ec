"""The lifespan of ASGI applications under the name that other projects know it by."""

from .interfaces.asgi import LifespanProtocol

__all__ = ["LifespanProtocol"]
