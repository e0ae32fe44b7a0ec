"""The command: makes the environment, and runs the scenes with its interpreter, where the clients are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".build" / "applications"
PACKAGES = (
    "datasette gradio nicegui dash radicale pypiserver wagtail mcp shiny python-socketio[client]",
    # Clients.
    "playwright caldav twine aiohttp httpx",
    # What this server wants.
    "click uvloop",
)


def main() -> int:
    """Gives the exit code of the scenes."""
    python = _environment()
    # The server is this checkout, and not what the index has under its name.
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([python, "-m", "applications.play", *sys.argv[1:]], cwd=ROOT, env=environment).returncode


def _environment() -> Path:
    """The interpreter of the environment, which is made anew when the packages or this interpreter change."""
    python, stamp = FOLDER / "venv" / "bin" / "python", FOLDER / ".packages"
    wanted = "\n".join([sys.version, *PACKAGES])
    if not stamp.exists() or stamp.read_text() != wanted:
        print("making the environment of the applications ...", flush=True)
        FOLDER.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", FOLDER / "venv"], check=True)
        packages = " ".join(PACKAGES).split()
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-compile", *packages], check=True)
        stamp.write_text(wanted)
    return python


if __name__ == "__main__":
    sys.exit(main())
