"""ASGI and RSGI scopes, key by key."""

from __future__ import annotations

import json
import os
import stat

import pytest

from .server import Server


@pytest.fixture
def asgi(server, loop) -> Server:
    return server("asgi_probe:app", "asginl", loop=loop)


@pytest.fixture
def rsgi(server, loop) -> Server:
    return server("rsgi_probe:app", "rsgi", loop=loop)


def scope_of(probe: Server, data: bytes) -> dict:
    with probe.connect() as wire:
        return json.loads(wire.send(data).response().body)["scope"]


def request(*lines: str, start: str = "GET /scope?a=%20&b HTTP/1.1") -> bytes:
    return "\r\n".join([start, *lines, "", ""]).encode("latin-1")


def as_bytes(text: str) -> dict[str, str]:
    return {"bytes": text}


def test_target_with_a_host_has_the_last_word(asgi):
    scope = scope_of(asgi, request("X-A: 1", "hOST: b", start="GET http://a:1/scope HTTP/1.1"))
    assert [value for name, value in scope["headers"] if name == as_bytes("host")] == [as_bytes("a:1")]
    assert [name["bytes"] for name, _ in scope["headers"]] == ["x-a", "host"]


def test_whole_asgi_scope(server, loop):
    # Its own server: one whose application has left a request without an answer offers no pathsend any more.
    asgi = server("asgi_probe:app", "asginl", loop=loop, fresh=True)
    with asgi.connect() as wire:
        port = wire.socket.getsockname()[1]
        wire.send(request("Host: example.com:81", "X-B: 1", "X-A: 2", "x-b: 3"))
        found = json.loads(wire.response().body)
    scope, types = found["scope"], found["types"]
    extensions = scope.pop("extensions")
    headers = scope.pop("headers")
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/scope",
        "raw_path": as_bytes("/scope"),
        "query_string": as_bytes("a=%20&b"),
        "root_path": "",
        "client": ["127.0.0.1", port],
        "server": list(asgi.address),
        "state": {},
    }
    assert extensions["http.response.pathsend"] == {}
    assert [value for name, value in headers if name == as_bytes("x-b")] == [as_bytes("1"), as_bytes("3")]
    assert sorted(name["bytes"] for name, _ in headers) == ["host", "x-a", "x-b", "x-b"]
    assert types["headers"] == "list"
    assert types["client"] == types["server"] == "tuple"
    assert types["path"] == types["method"] == types["scheme"] == types["http_version"] == "str"


def test_asgi_http10(asgi):
    scope = scope_of(asgi, request(start="GET /scope HTTP/1.0"))
    assert scope["http_version"] == "1.0"
    assert [name for name, value in scope["headers"] if value["bytes"]] == []


@pytest.mark.parametrize("method", ["GET", "POST", "get", "PROPFIND", "M-SEARCH"])
def test_method_is_as_received(asgi, rsgi, method):
    data = request("Host: a", start=f"{method} /scope HTTP/1.1")
    assert scope_of(asgi, data)["method"] == method
    with rsgi.connect() as wire:
        assert json.loads(wire.send(data).response().body)["method"] == method


PATHS = [
    ("/%73cope", "/scope"),
    ("/scope?", "/scope"),
    ("/scope?x=/?y", "/scope"),
]


@pytest.mark.parametrize(("target", "path"), PATHS)
def test_asgi_path(asgi, target, path):
    scope = scope_of(asgi, request("Host: a", start=f"GET {target} HTTP/1.1"))
    raw, _, query = target.partition("?")
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == (path, as_bytes(raw), as_bytes(query))


DECODED = [
    ("/caf%C3%A9", "/caf\xe9"),
    ("/%E2%82%AC", "/\u20ac"),
    ("/%ff%fe", "/\ufffd\ufffd"),
    ("/a%2Fb%3Fc", "/a/b?c"),
    ("/a+b", "/a+b"),
    ("/%zz%4", "/%zz%4"),
    ("/%00", "/\0"),
    ("//a//", "//a//"),
    ("/../a/./b", "/../a/./b"),
]


@pytest.mark.parametrize(("target", "path"), DECODED)
def test_path_is_decoded_as_utf8(server, target, path):
    for interface in ("asginl", "rsgi"):
        probe = server(f"echo_paths:{interface}", interface)
        assert probe.get(target).text == path


@pytest.mark.parametrize("how", ["writes", "renames", "replaces", "reorders"])
def test_asgi_scope_is_fresh(asgi, how):
    plain = scope_of(asgi, request("Host: a"))
    assert asgi.get(f"/scope/spoil?how={how}").body == b"spoilt"
    again = scope_of(asgi, request("Host: a"))
    for name in ("asgi", "extensions", "state", "headers"):
        assert list(again[name]) == list(plain[name])
        assert again[name] == plain[name]


def test_asgi_scopes_that_exist_share_nothing(asgi):
    assert [asgi.get("/scope/apart").body for _ in range(3)] == [b"apart"] * 3


def test_asgi_unix_socket(server):
    probe = server("asgi_probe:app", "asginl", uds=True)
    scope = scope_of(probe, request("Host: a"))
    assert scope["server"] == [probe.address, None]
    assert scope["client"] is None


def test_unix_socket_permissions(server):
    probe = server("asgi_probe:app", "asginl", "--uds-permissions", "0640", uds=True)
    assert stat.S_IMODE(os.stat(probe.address).st_mode) == 0o640


def test_unix_socket_is_removed_at_the_stop(server):
    probe = server("asgi_probe:app", "asginl", uds=True, fresh=True)
    path = probe.address
    assert probe.get("/").body == b"hello"
    assert os.path.exists(path)
    probe.stop()
    assert not os.path.exists(path)


def test_asgi_root_path(server):
    probe = server("asgi_probe:app", "asginl", "--url-path-prefix", "/prefix")
    scope = scope_of(probe, request("Host: a", start="GET /scope HTTP/1.1"))
    assert (scope["root_path"], scope["path"]) == ("/prefix", "/scope")


def test_whole_rsgi_scope(rsgi):
    with rsgi.connect() as wire:
        port = wire.socket.getsockname()[1]
        scope = json.loads(wire.send(request("Host: example.com")).response().body)
    assert scope == {
        "proto": "http",
        "rsgi_version": "1.6",
        "http_version": "1.1",
        "server": f"127.0.0.1:{rsgi.address[1]}",
        "client": f"127.0.0.1:{port}",
        "scheme": "http",
        "method": "GET",
        "path": "/scope",
        "query_string": "a=%20&b",
        "authority": None,
    }


def test_rsgi_http10(rsgi):
    with rsgi.connect() as wire:
        scope = json.loads(wire.send(request(start="GET /scope HTTP/1.0")).response().body)
    assert scope["http_version"] == "1"
    assert scope["query_string"] == ""


def test_rsgi_authority_of_an_absolute_form(rsgi):
    data = request("Host: a.example:81", start="GET http://a.example:81/scope?q HTTP/1.1")
    with rsgi.connect() as wire:
        scope = json.loads(wire.send(data).response().body)
    assert (scope["authority"], scope["path"], scope["query_string"]) == ("a.example:81", "/scope", "q")


def test_rsgi_scope_is_read_only(rsgi):
    assert rsgi.get("/scope/write").body == b"read-only"


def test_rsgi_unix_socket(server):
    probe = server("rsgi_probe:app", "rsgi", uds=True)
    scope = json.loads(probe.get("/scope").body)
    assert (scope["server"], scope["client"]) == (probe.address, "")


def test_ipv6(server):
    host = ("--host", "::1", "--access-log")
    asgi = server("asgi_probe:app", "asginl", *host)
    scope = scope_of(asgi, request("Host: a"))
    assert scope["server"] == ["::1", asgi.address[1]]
    assert scope["client"][0] == "::1"
    asgi.wait_line(r'\] ::1 - "GET /scope HTTP/1.1" 200 ')
    rsgi = server("rsgi_probe:app", "rsgi", *host)
    scope = json.loads(rsgi.get("/scope").body)
    assert scope["server"] == f"[::1]:{rsgi.address[1]}"
    assert scope["client"].startswith("[::1]:")
    rsgi.wait_line(r'\] ::1 - "GET /scope HTTP/1.1" 200 ')
    wsgi = server("wsgi_probe:app", "wsgi", *host)
    environ = json.loads(wsgi.get("/environ").body)
    assert (environ["REMOTE_ADDR"], environ["SERVER_NAME"]) == ("::1", "::1")
    wsgi.wait_line(r'\] ::1 - "GET /environ HTTP/1.1" 200 ')
