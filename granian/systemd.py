"""`Notifier`: reports the state of the service to systemd (`sd_notify`), if `NOTIFY_SOCKET` is set."""

from __future__ import annotations

import os
import socket
import time


class Notifier:
    """Sends states; without systemd it does nothing."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        microseconds = os.environ.get("WATCHDOG_USEC", "")
        meant = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        # Seconds between two signs of life, half of what systemd allows.
        self.watchdog_interval = int(microseconds) / 2e6 if microseconds.isdecimal() and meant else None
        if not self._address:
            self.watchdog_interval = None

    def ready(self, status: str = "") -> None:
        self._send("READY=1", f"STATUS={status}", f"MAINPID={os.getpid()}")

    def reloading(self) -> None:
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            try:
                notify.sendto("\n".join(lines).encode(), address)
            except OSError:
                pass
