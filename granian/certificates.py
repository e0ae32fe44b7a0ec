"""`CertificateWatch`: notices changes of certificates, keys, authorities and revocation lists."""

from __future__ import annotations

import os
from pathlib import Path

from ._granian import check_tls
from .config import Config, TlsOptions
from .errors import ConfigurationError
from .log import logger

# For each file: device, inode, size, time of the last change; None if it does not exist.
State = list[tuple[int, int, int, int] | None]


class CertificateWatch:
    """Looks at the files when it is asked."""

    def __init__(self, config: Config) -> None:
        self._options = TlsOptions.from_config(config)
        self.paths = paths_of(self._options) if self._options is not None else []
        self._state = self._look()
        # The state that failed the checks at the last look: files often change one after the other. `_said` was logged.
        self._refused: State | None = None
        self._said: State | None = None

    def has_changed(self) -> bool:
        """True if the files have changed since they were last taken."""
        return self._look() != self._state

    def has_news(self) -> bool:
        """True if the files have changed and pass the checks."""
        state = self._look()
        if state == self._state or self._options is None:
            return False
        try:
            check_tls(self._options)
        except ConfigurationError as error:
            if state == self._refused != self._said:
                logger.warning("The certificates stay as they were: %s", error)
                self._said = state
            self._refused = state
            return False
        self._state = state
        return True

    @property
    def options(self) -> TlsOptions | None:
        """The options that name the files."""
        return self._options

    def _look(self) -> State:
        state: State = []
        for path in self.paths:
            try:
                found = os.stat(path)
            except OSError:
                state.append(None)
            else:
                state.append((found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))
        return state


def paths_of(options: TlsOptions) -> list[Path]:
    pairs = [path for certificate, key, _ in options.certificates for path in (certificate, key)]
    return [*pairs, *([options.ca] if options.ca is not None else []), *options.crl]
