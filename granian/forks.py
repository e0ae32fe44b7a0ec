"""Children that the application forks: they keep no signal handler of this package's, and none becomes a server.

Workers are forks as well; they put handlers of their own in place.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from .log import log_app_exception

if TYPE_CHECKING:
    import asyncio

Handler = Callable[[int, FrameType | None], Any]


def install(signum: int, handler: Handler) -> Any:
    """Makes `handler` the signal's, in this process alone; returns the one before. On the main thread."""
    if not _IS_REGISTERED:
        os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_forget)
        _IS_REGISTERED.append(True)
    _INSTALLED[signum] = handler
    return signal.signal(signum, handler)


def uninstall(signum: int, before: Any) -> None:
    """Gives the signal back. `before` is what `install` has returned."""
    _INSTALLED.pop(signum, None)
    signal.signal(signum, before if before is not None else signal.SIG_DFL)


def leave(error: BaseException | None) -> NoReturn:
    """Ends a child that has come back to the server from the application: it holds its parent's connections.

    As at the end of a program, `error` says how: `sys.exit`, another exception, or None for a return.
    """
    code = 0
    if isinstance(error, SystemExit):
        code = _exit_code(error)
    elif error is not None:
        log_app_exception(error)
        code = 1
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass
    os._exit(code)


def _exit_code(error: SystemExit) -> int:
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    print(error.code, file=sys.stderr)
    return 1


def _hold() -> None:
    """A signal to the child must not find the parent's handler, nor be lost."""
    _MASK.value = signal.pthread_sigmask(signal.SIG_BLOCK, tuple(_INSTALLED))
    asyncio = sys.modules.get("asyncio")
    # In the child, asyncio forgets it before this module is called.
    _MASK.loop = asyncio._get_running_loop() if asyncio is not None else None


def _release() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _MASK.value)


def _forget() -> None:
    if _INSTALLED:
        # It leads to the parent's event loop, whoever has set it.
        signal.set_wakeup_fd(-1)
    if signal.SIGUSR2 in _INSTALLED:
        # First: it puts back what it has found.
        faulthandler.unregister(signal.SIGUSR2)
    for signum, handler in _INSTALLED.items():
        # Not what the application has put there since.
        if signal.getsignal(signum) is handler:
            signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)
    _INSTALLED.clear()
    if _MASK.loop is not None:
        _take_exits(_MASK.loop)
    _release()


def _take_exits(loop: asyncio.AbstractEventLoop) -> None:
    """Lets `sys.exit` in a task of the child end the child.

    Since Python 3.14 no task can end in a child, where its loop does not count as running: the loop gets an error about
    that, with the exit as its context, and would go on as a second server.
    """
    before = loop.get_exception_handler()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> object:
        error = context.get("exception")
        while error is not None and not isinstance(error, SystemExit):
            error = error.__context__
        if error is not None:
            leave(error)
        return loop.default_exception_handler(context) if before is None else before(loop, context)

    loop.set_exception_handler(handle)


_INSTALLED: dict[int, Handler] = {}
_IS_REGISTERED: list[bool] = []
_MASK = threading.local()
