"""Headless Chromium plays a long recording and a video from a static mount and jumps to their ends."""

from __future__ import annotations

import gzip
import struct
import wave
from pathlib import Path

import pytest

from .test_browser import CHROMIUM, browsing, certificate

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
__all__ = ["certificate"]

# A minute of VP9 and Opus, a frame a second and a key frame every five.
VIDEO = Path(__file__).with_name("video.mp4.gz")
# Between two chunks of the video, so that a browser cannot have all of it before it is asked to jump.
GAP = 256 * 1024
PLAYER = """<!doctype html><link rel="icon" href="data:,">
<video id="media" muted preload="metadata" src="video.mp4"></video>
<script>
const media = document.getElementById("media"), seen = [];
media.onloadedmetadata = () => { seen.push(media.videoWidth, Math.round(media.duration)); media.currentTime = 50; };
media.onseeked = () => { seen.push(Math.round(media.currentTime)); media.playbackRate = 4; media.play(); };
media.onended = () => {
  const version = performance.getEntriesByType("navigation")[0].nextHopProtocol;
  seen.push(media.getVideoPlaybackQuality().totalVideoFrames > 5, version);
  fetch(`/report?${seen.join("-")}`);
};
media.onerror = () => fetch(`/report?error-${media.error.code}`);
</script>"""


def spread(video: bytes) -> bytes:
    """The same MP4 with `GAP` bytes of nothing in front of each of its chunks."""
    tables = [at for at in range(len(video)) if video.startswith(b"stco", at)]
    counts = {at: struct.unpack_from(">I", video, at + 8)[0] for at in tables}
    offsets = {at: struct.unpack_from(f">{counts[at]}I", video, at + 12) for at in tables}
    chunks = sorted(offset for table in offsets.values() for offset in table)
    start = video.index(b"mdat") - 4
    moved = {offset: offset + GAP * (number + 1) for number, offset in enumerate(chunks)}
    head = bytearray(video[:start])
    for at, table in offsets.items():
        struct.pack_into(f">{counts[at]}I", head, at + 12, *(moved[offset] for offset in table))
    body = b"".join(bytes(GAP) + video[first:end] for first, end in zip(chunks, [*chunks[1:], len(video)], strict=True))
    return bytes(head) + struct.pack(">I", 8 + len(body)) + b"mdat" + body


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


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("scheme", "version"), [("http", "http/1.1"), ("https", "h2")])
def test_a_video(server, request, tmp_path: Path, scheme, version):
    """It seeks to 50 s of 60 and plays the rest, which it asks for as a part of the file."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "page.html").write_text(PLAYER)
    video = spread(gzip.decompress(VIDEO.read_bytes()))
    (site / "video.mp4").write_bytes(video)
    secured = request.getfixturevalue("certificate") if scheme == "https" else ()
    log = ("--access-log", "--access-log-fmt", "@access %(path)s %(query_string)s %(status)d %(header{range})s")
    app = server("asgi_probe:app", "asginl", *log, *secured, "--static-path-mount", str(site), fresh=True)
    with browsing(f"{app.url}/static/page.html".replace("http:", f"{scheme}:"), tmp_path / "profile", secured):
        assert app.wait_line(r"@access /report (\S+) ", timeout=90)[1] == f"64-60-50-true-{version}"
    starts = [int(app.wait_line(r"@access /static/video.mp4  206 bytes=(\d+)-")[1])]
    starts += [int(line.partition("bytes=")[2].partition("-")[0]) for line in app.lines() if "video.mp4  206" in line]
    # Four fifths are behind the place to which it jumps.
    assert max(starts) > len(video) // 2
