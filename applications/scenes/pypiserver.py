"""pypiserver: upload by twine, download by pip."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from ..scene import Scene, Visit

METADATA = "Metadata-Version: 2.1\nName: parcel\nVersion: {}\nSummary: A parcel\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: here\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
# Larger than what is held in memory of a body.
PAYLOAD = 3 * 1024 * 1024


def prepare(folder: Path) -> None:
    """Makes the folder of the packages."""
    (folder / "packages").mkdir()


def visit(visit: Visit) -> str:
    """Uploads a wheel, and downloads it."""
    version = f"1.{visit.number}"
    wheel = _wheel(visit.folder, version)
    command = [sys.executable, "-m", "twine", "upload", "--disable-progress-bar", "-u", "a", "-p", "b"]
    subprocess.run([*command, "--repository-url", visit.url, wheel], check=True, capture_output=True)
    target = visit.folder / f"downloaded-{version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--dest", str(target)]
    isolated = {**os.environ, "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}
    command += ["--index-url", f"{visit.url}/simple/", f"parcel=={version}"]
    subprocess.run(command, check=True, capture_output=True, env=isolated)
    assert (target / wheel.name).read_bytes() == wheel.read_bytes()
    return f"a wheel of {wheel.stat().st_size >> 20} MiB uploaded and downloaded, the same bytes"


def _wheel(folder: Path, version: str) -> Path:
    path = folder / f"parcel-{version}-py3-none-any.whl"
    info = f"parcel-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("parcel.bin", os.urandom(PAYLOAD))
        archive.writestr(f"{info}/METADATA", METADATA.format(version))
        archive.writestr(f"{info}/WHEEL", WHEEL)
        archive.writestr(f"{info}/RECORD", "")
    return path


SCENE = Scene(
    name="pypiserver",
    package="pypiserver",
    target="pypiserver_app:app",
    done="twine: upload; pip: download",
    visit=visit,
    interface="WSGI",
    prepare=prepare,
)
