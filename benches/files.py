"""The files that static workloads and applications serve: made once, in a folder of their own."""

from pathlib import Path

from benches.apps.texts import TEXTS
from benches.workloads import ONE_MIB, TEN_KIB

_FOLDER = Path(__file__).resolve().parent / ".envs" / "files" / "static"
_FILES = {"10k.bin": TEN_KIB, "1m.bin": ONE_MIB, **TEXTS}


def folder() -> Path:
    """The folder `static` with all of them."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    for name, content in _FILES.items():
        path = _FOLDER / name
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)
    return _FOLDER
