"""Headless Chromium plays a long recording from a static mount and jumps to its end."""

from __future__ import annotations

import wave
from pathlib import Path

import pytest

from .test_browser import CHROMIUM, browsing

PAGE = """<!doctype html><link rel="icon" href="data:,">
<video id="media" muted preload="metadata" src="long.wav"></video>
<script>
const media = document.getElementById("media");
media.onloadedmetadata = () => { media.currentTime = 50; };
media.onseeked = () => fetch(`/report?${Math.round(media.duration)}-${Math.round(media.currentTime)}`);
media.onerror = () => fetch(`/report?error-${media.error.code}`);
</script>"""
LOG = ("--access-log", "--access-log-fmt", "@access %(path)s %(query_string)s %(status)d")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt install chromium)")


@pytest.mark.timeout(120)
def test_seeking(server, tmp_path: Path):
    site = tmp_path / "site"
    site.mkdir()
    (site / "page.html").write_text(PAGE)
    with wave.open(str(site / "long.wav"), "wb") as recording:
        recording.setnchannels(2)
        recording.setsampwidth(2)
        recording.setframerate(44_100)
        recording.writeframes(bytes(4 * 44_100 * 60))
    app = server("asgi_probe:app", "asginl", *LOG, "--static-path-mount", str(site), fresh=True)
    with browsing(f"{app.url}/static/page.html", tmp_path / "profile"):
        assert app.wait_line(r"@access /report (\S+) ", timeout=90)[1] == "60-50"
    assert "@access /static/long.wav  206" in app.lines()
