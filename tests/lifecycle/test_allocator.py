"""The allocator's parameters are set in worker processes, and in no other program that imports the package."""

from __future__ import annotations

import platform
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such parameters")

# glibc maps a block of 8 MiB by itself. When such a block is freed, the threshold rises beyond it and the next one
# comes from the heap. A threshold that was set never moves.
PROBE = """
    import ctypes

    class Info(ctypes.Structure):
        _fields_ = [(name, ctypes.c_int) for name in "arena ordblks smblks hblks hblkhd a b c d e".split()]

    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.mallinfo.restype = Info

    def is_mapped(size):
        before = libc.mallinfo().hblks
        block = libc.malloc(size)
        is_mapped = libc.mallinfo().hblks > before
        libc.free(block)
        return is_mapped

    def is_fixed():
        is_mapped(8 << 20)
        return is_mapped(8 << 20)
"""
APP = f"""{PROBE}
    async def app(scope, receive, send):
        await send({{"type": "http.response.start", "status": 200, "headers": []}})
        await send({{"type": "http.response.body", "body": b"%d %d" % (is_fixed(), is_mapped(900 << 10))}})
"""
IMPORT = f"""{PROBE}
    import granian, granian.server, granian._granian
    assert not is_fixed()
"""
EMBEDDED = f"""{PROBE}
    import asyncio
    from granian.server.embed import Server

    async def app(scope, receive, send):
        pass

    async def main():
        async with Server(app, port=0, interface="asginl"):
            assert not is_fixed()

    asyncio.run(main())
"""


def test_worker_process_sets_them(serve):
    assert serve(APP).get("/").body == b"1 0"


@pytest.mark.parametrize(
    ("variable", "value"),
    [("MALLOC_MMAP_THRESHOLD_", "65536"), ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=65536")],
)
def test_what_the_environment_sets_is_left(serve, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    assert serve(APP).get("/").body == b"1 1"


@pytest.mark.parametrize("source", [IMPORT, EMBEDDED], ids=["import", "embedded"])
def test_other_programs_keep_theirs(source):
    subprocess.run([sys.executable, "-c", textwrap.dedent(source)], check=True, timeout=30)
