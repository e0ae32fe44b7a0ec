"""`Renewal`: follows the files of certificates for the worker of an embedded server."""

from __future__ import annotations

import asyncio

from .._granian import LoadedTls, Worker, load_tls
from ..certificates import CertificateWatch
from ..config import Config
from ..errors import ConfigurationError
from ..log import logger


class Renewal:
    """Looks at the files on the running loop until it is closed, and reads them on a thread."""

    def __init__(self, worker: Worker, config: Config) -> None:
        self._worker = worker
        self._watch = CertificateWatch(config)
        self._loop = asyncio.get_running_loop()
        self._reading = False
        self._timer: asyncio.TimerHandle | None = None
        if self._watch.paths:
            self._timer = self._loop.call_later(INTERVAL, self._look)

    def close(self) -> None:
        """Ends the watch; certificates that are being read are dropped."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _look(self) -> None:
        self._timer = self._loop.call_later(INTERVAL, self._look)
        if not self._reading and self._watch.has_changed():
            self._reading = True
            self._loop.run_in_executor(None, self._load).add_done_callback(self._take)

    def _load(self) -> LoadedTls | None:
        if not self._watch.has_news():
            return None
        try:
            return load_tls(self._watch.options)
        except ConfigurationError as error:
            # They passed the check a moment ago, so they are changing now, and the next look follows.
            logger.warning("The certificates stay as they were: %s", error)
            return None

    def _take(self, loaded: asyncio.Future[LoadedTls | None]) -> None:
        self._reading = False
        if self._timer is None or loaded.cancelled():
            return
        if (tls := loaded.result()) is not None:
            logger.info("Certificates have changed, reading them anew")
            self._worker.set_tls(tls)


# Seconds between two looks at the files.
INTERVAL = 1.0
