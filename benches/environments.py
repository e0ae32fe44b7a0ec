"""One virtual environment per server under benches/.envs, made once; ours is built from this checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from benches.peers import OURS, Peer

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / "benches" / ".envs"
PREFERRED = "3.13"


class Unavailable(Exception):
    """A server that cannot be measured here; the message says why."""


def find_python() -> str:
    """The interpreter the figures are defined on, or else the one this command runs on."""
    candidates = [f"python{PREFERRED}", sys.executable]
    if shutil.which("pyenv"):
        latest = _output(["pyenv", "latest", PREFERRED])
        candidates.insert(0, f"{_output(['pyenv', 'prefix', latest])}/bin/python" if latest else "")
    for candidate in filter(None, candidates):
        if _output([candidate, "-c", "print(1)"]) == "1":
            return candidate
    return sys.executable


def prepare(peer: Peer, python: str) -> Path:
    """The bin directory of the server's environment, made or brought up to date; empty for a program."""
    if peer.program:
        if shutil.which(peer.program) is None:
            raise Unavailable(f"{peer.program} is not installed.")
        (ENVIRONMENTS / peer.name).mkdir(parents=True, exist_ok=True)
        return ENVIRONMENTS / peer.name
    directory = make_environment(peer.name, peer.requirements, python)
    if peer.name == OURS:
        _build_ours(directory)
    return directory / "bin"


def make_environment(name: str, requirements: tuple[str, ...], python: str) -> Path:
    directory = ENVIRONMENTS / name
    stamp = directory / ".requirements"
    wanted = "\n".join([_output([python, "--version"]), *requirements])
    if stamp.exists() and stamp.read_text() == wanted:
        return directory
    print(f"making the environment of {name} ...", flush=True)
    shutil.rmtree(directory, ignore_errors=True)
    _run([python, "-m", "venv", str(directory)])
    _run([str(directory / "bin" / "python"), "-m", "pip", "install", "--quiet", *requirements])
    stamp.write_text(wanted)
    return directory


def version_of(peer: Peer, bin_directory: Path) -> str:
    if peer.program:
        done = subprocess.run([peer.program, "-v"], capture_output=True, text=True, check=False)
        return (done.stdout + done.stderr).strip().rpartition("/")[2]
    return installed_version(bin_directory, peer.distribution)


def installed_version(bin_directory: Path, distribution: str) -> str:
    code = f"import importlib.metadata as m; print(m.version({distribution!r}))"
    return _output([str(bin_directory / "python"), "-c", code]) or "?"


def _build_ours(directory: Path) -> None:
    stamp = directory / ".built"
    sources = [ROOT / "Cargo.toml", ROOT / "pyproject.toml"]
    sources += [path for pattern in ("crates/*/src/**/*.rs", "granian/**/*.py*") for path in ROOT.glob(pattern)]
    newest = max(path.stat().st_mtime for path in sources if path.exists())
    if stamp.exists() and stamp.stat().st_mtime > newest:
        return
    print("building this checkout in release mode ...", flush=True)
    wheels = directory / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    python = str(directory / "bin" / "python")
    environment = {**os.environ, "CARGO_TARGET_DIR": str(directory / "target")}
    _run([str(directory / "bin" / "maturin"), "build", "--release", "-q", "-i", python, "-o", str(wheels)], environment)
    wheel = next(iter(wheels.glob("*.whl")))
    _run([python, "-m", "pip", "install", "--quiet", "--force-reinstall", str(wheel)])
    stamp.touch()


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        error = next((line for line in lines if line.lower().startswith("error")), lines[-1] if lines else "no output")
        raise Unavailable(f"{Path(command[0]).name} failed: {error}")


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
