"""Builds wheels and an sdist into `dist/`, and tries a wheel in a new environment without Rust.

`python -m tools.wheels` builds for the interpreters that are named, for this one if none is. The linker is Zig's, so
that the wheels run on systems with an older C library than this one: manylinux 2.28 (Debian 10, RHEL 8 and newer),
and musllinux 1.2 (Alpine) if Rust has that target. A target that cannot be built is told, with the reason. `python -m
tools.wheels --try` installs the wheel for this interpreter and asks it for a page; `--try-sdist` does so with the sdist
and builds it. The index has to have `click`, and maturin for the sdist.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
import urllib.request
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
DIST = ROOT / "dist"
OWN_SYSTEM = (
    "unknown-linux-musl" if "musl" in (sysconfig.get_config_var("HOST_GNU_TYPE") or "") else "unknown-linux-gnu"
)
TARGETS = {"manylinux_2_28": "unknown-linux-gnu", "musllinux_1_2": "unknown-linux-musl"}
MAIN = """
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"it serves"})
"""
START_WITHIN = 60.0


def build(interpreters: list[str]) -> int:
    """Builds all; the number of targets that could not be built."""
    DIST.mkdir(exist_ok=True)
    if (reason := _maturin("sdist")) is not None:
        raise SystemExit(f"No sdist: {reason}")
    if sys.platform != "linux":
        _maturin("build", "--release", *_named(interpreters))
        return 0
    machine = platform.machine()
    failed = 0
    for compatibility, system in TARGETS.items():
        target = f"{machine}-{system}"
        reason = None if _has_target(target) else f"Rust has no {target}: rustup target add {target}"
        if reason is None:
            options = ("--zig", "--target", target, "--compatibility", compatibility)
            # An interpreter of this system tells nothing about those of another one but its version.
            named = _named(interpreters if system == OWN_SYSTEM else _versions(interpreters))
            reason = _maturin("build", "--release", *options, *named)
        if reason is not None:
            failed += 1
            print(f"No {compatibility} wheel: {reason}", file=sys.stderr)
    for path in sorted(DIST.iterdir()):
        print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1e6:.1f} MB")
    return failed


def try_wheel() -> None:
    """Installs the wheel for this interpreter where no cargo is found, and gets a page from it.

    # Errors
    `SystemExit` if there is no such wheel; whatever fails on the way.
    """
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    found = sorted(DIST.glob(f"granian-*-{tag}-*manylinux*.whl")) or sorted(DIST.glob(f"granian-*-{tag}-*.whl"))
    if not found:
        raise SystemExit(f"there is no wheel for {tag} in dist/: make wheels")
    path = "/usr/bin:/bin"
    if (cargo := shutil.which("cargo", path=path)) is not None:
        raise SystemExit(f"this is no environment without Rust: {cargo}")
    _try(found[-1], path, "--only-binary", ":all:")


def try_sdist() -> None:
    """Installs the source distribution, which builds it, and gets a page from it.

    # Errors
    `SystemExit` if there is none; whatever fails on the way.
    """
    found = sorted(DIST.glob("granian-*.tar.gz"))
    if not found:
        raise SystemExit("there is no sdist in dist/: make wheels")
    _try(found[-1], os.environ["PATH"])


def _try(package: Path, path: str, *options: str) -> None:
    """Installs the package into a new environment with these folders of programs, and gets a page from it."""
    with tempfile.TemporaryDirectory(prefix="granian-wheel-") as name:
        folder = Path(name)
        venv.create(folder / "venv", with_pip=True)
        bin = folder / "venv" / "bin"
        environment = {**os.environ, "PATH": f"{bin}:{path}", "VIRTUAL_ENV": str(bin.parent)}
        # An error of maturin's beside the other one.
        environment.pop("CONDA_PREFIX", None)
        pip = [str(bin / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, *options, str(package)], check=True, env=environment, cwd=folder)
        (folder / "main.py").write_text(MAIN)
        print(f"{package.name}: {_served(bin / 'granian', folder, environment)}")


def _served(command: Path, folder: Path, environment: dict[str, str]) -> str:
    """The body of the first response of the application in the folder."""
    process = subprocess.Popen(
        [str(command), "main:app", "--port", "0"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    late = threading.Timer(START_WITHIN, process.kill)
    late.start()
    try:
        for line in process.stdout:
            if listening := re.search(r"Listening at: (http://\S+)", line):
                with urllib.request.urlopen(listening[1], timeout=START_WITHIN) as response:
                    return bytes(response.read()).decode()
        raise SystemExit(f"the server did not start: {process.wait()}")
    finally:
        late.cancel()
        process.terminate()
        process.stdout.read()
        process.wait()


def _named(interpreters: list[str]) -> list[str]:
    return [word for name in interpreters or [sys.executable] for word in ("--interpreter", name)]


def _versions(interpreters: list[str]) -> list[str]:
    """`python3.11` for each, by what it says itself."""
    program = "import sys; print('python%d.%d' % sys.version_info[:2])"
    called = ([name, "-c", program] for name in interpreters or [sys.executable])
    return [subprocess.run(one, capture_output=True, text=True, check=True).stdout.strip() for one in called]


def _maturin(*arguments: str) -> str | None:
    """Runs it, with its output shown; a reason if it fails."""
    # CONDA_PREFIX beside VIRTUAL_ENV is an error of maturin's.
    environment = {name: value for name, value in os.environ.items() if name != "CONDA_PREFIX"}
    # It looks for zig's Python package with the first interpreter of the PATH.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    command = [sys.executable, "-m", "maturin", *arguments, "--out", str(DIST)]
    run = subprocess.run(command, cwd=ROOT, env=environment)
    return f"maturin has failed with {run.returncode}, see above" if run.returncode else None


def _has_target(target: str) -> bool:
    """Whether the toolchain has the standard library for it."""
    root = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True).stdout.strip()
    return (Path(root) / "lib" / "rustlib" / target / "lib").is_dir()


if __name__ == "__main__":
    if sys.argv[1:] == ["--try"]:
        try_wheel()
    elif sys.argv[1:] == ["--try-sdist"]:
        try_sdist()
    else:
        sys.exit(build(sys.argv[1:]) == len(TARGETS))
