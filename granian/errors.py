"""Errors that end the server before or instead of serving."""

from __future__ import annotations


class FatalError(Exception):
    """The server cannot start or go on."""

    # Whether the log has a line about it.
    is_logged = False


class ConfigurationError(FatalError):
    """An option is wrong.

    `option` is its name in the constructor, and `message` one line without it, or None if that is in the log already.
    """

    def __init__(self, option: str, message: str | None = None) -> None:
        super().__init__(option)
        self.option = option
        self.message = message

    def __str__(self) -> str:
        return self.option if self.message is None else f"{self.option}: {self.message}"


class PidFileError(FatalError):
    """The pid file cannot be written, or names a process that lives."""
