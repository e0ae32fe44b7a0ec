"""`Scene`: one application, how it is made ready, and a visit that its own client or a browser pays it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

APPS = Path(__file__).parent / "apps"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Milliseconds that a browser waits for what is to appear.
PATIENCE = 30_000


@dataclass(frozen=True)
class Visit:
    """Where the application is, the folder it was started in, and how often it was visited before."""

    url: str
    folder: Path
    number: int


@dataclass(frozen=True)
class Scene:
    """What to serve and what to do with it."""

    name: str
    # The distribution, for its version.
    package: str
    # In `apps/`, or in what `prepare` has made.
    target: str
    # What the visit does, for the table.
    done: str
    # Raises where something is not as it should be; gives what was seen.
    visit: Callable[[Visit], str]
    prepare: Callable[[Path], None] = lambda folder: None
    interface: str = "ASGI"
    environment: dict[str, str] = field(default_factory=dict)


@contextmanager
def browsing(url: str) -> Iterator[Page]:
    """A page of a headless browser; errors of its scripts are raised at the end."""
    if CHROMIUM is None:
        raise AssertionError("no Chromium is installed: make clients")
    faults: list[Any] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            page = browser.new_page()
            page.set_default_timeout(PATIENCE)
            page.on("pageerror", lambda error: faults.append(error))
            page.goto(url)
            yield page
        finally:
            browser.close()
    if faults:
        raise AssertionError(f"errors of the page: {faults}")
