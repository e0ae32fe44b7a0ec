"""Certificates of a server inside a program's own event loop."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from e2e.certificates import Authority
from e2e.tls import context

from granian.server.embed import Server
from granian.worker import renewal


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


async def certificate_of(server: Server, made: ssl.SSLContext) -> bytes:
    host, _, port = str(server.url).removeprefix("https://").rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=made, server_hostname="localhost")
    found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return found


@pytest.mark.timeout(30)
def test_files_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewal, "INTERVAL", 0.05)
    authority = Authority()
    made = context(authority)
    certificate, key = authority.issue("localhost").write(tmp_path)

    async def main() -> None:
        options = {"ssl_cert": certificate, "ssl_key": key}
        async with Server(app, port=0, interface="asginl", **options) as server:
            first = await certificate_of(server, made)
            # Half of a change is none: the key does not match.
            following = authority.issue("localhost")
            certificate.write_text(following.pem)
            assert await certificate_of(server, made) == first
            key.write_text(following.key_pem())
            while (second := await certificate_of(server, made)) == first:
                pass
            # The next generation reads what there is.
            server.reload()
            assert await certificate_of(server, made) == second

    asyncio.run(main())
