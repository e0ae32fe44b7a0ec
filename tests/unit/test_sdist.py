"""The source distribution: all that the repository has but the parts that are left out on purpose."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
# Checks on a service of the hoster, and the fuzz targets, a crate with a workspace of its own.
LEFT_OUT = (".github/", "crates/proto/fuzz/")


def git_files() -> set[str]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not in a clone")
    found = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in found.stdout.split("\0") if name and (ROOT / name).exists()}


def test_the_sdist_has_what_tests_and_documents_need(tmp_path):
    pytest.importorskip("maturin")
    if shutil.which("cargo") is None:
        pytest.skip("no cargo")
    wanted = {name for name in git_files() if not name.startswith(LEFT_OUT)}
    command = [sys.executable, "-m", "maturin", "sdist", "--out", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    (made,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(made) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert wanted - names == set()
    assert [name for name in names if name.endswith((".so", ".pyc", ".pyd")) or "__pycache__" in name] == []
