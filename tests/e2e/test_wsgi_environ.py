"""The WSGI environment, key by key."""

from __future__ import annotations

import json

import pytest

from .server import Server

LEAKS = {"PROBE_SECRET": "s", "HTTP_HOST": "evil", "REMOTE_ADDR": "6.6.6.6", "HTTP_X_USER": "root"}


@pytest.fixture
def probe(server) -> Server:
    """Its own environment holds what must not reach the application."""
    return server("wsgi_probe:app", "wsgi", "--blocking-threads", "8", env=LEAKS)


def environ_of(probe: Server, target: str = "/environ", *headers: str) -> dict[str, str]:
    return json.loads(probe.get(target, *headers).body)


def test_whole_environ(probe):
    environ = environ_of(probe, "/environ?a=1&b=%20", "X-One: 1")
    for name in ("wsgi.input", "wsgi.errors", "wsgi.file_wrapper"):
        assert environ.pop(name)
    extra = {"REMOTE_PORT", "REQUEST_URI", "RAW_URI"}
    assert {name: value for name, value in environ.items() if name not in extra} == {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_SOFTWARE": "Granian",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/environ",
        "QUERY_STRING": "a=1&b=%20",
        "REQUEST_METHOD": "GET",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(probe.address[1]),
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost",
        "HTTP_X_ONE": "1",
        "wsgi.version": "(1, 0)",
        "wsgi.url_scheme": "http",
        "wsgi.multithread": "True",
        "wsgi.multiprocess": "False",
        "wsgi.run_once": "False",
        "wsgi.input_terminated": "True",
    }


def test_environ_is_fresh(probe):
    spoil = "x-script: %5B%22environ.update%28spoilt%3D'1'%29%22%5D"
    probe.get("/script", spoil)
    assert "spoilt" not in environ_of(probe)


def test_multiprocess(server):
    probe = server("wsgi_probe:app", "wsgi", "--blocking-threads", "2", "--workers", "2")
    assert environ_of(probe)["wsgi.multiprocess"] == "True"


def test_body_headers(probe):
    body = probe.request("POST", "/environ", "Content-Type: x/y", body=b"abc").body
    environ = json.loads(body)
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("x/y", "3")
    assert environ["REQUEST_METHOD"] == "POST"
    assert not {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"} & environ.keys()


def test_repeated_headers_are_joined(probe):
    headers = ("X-A: 1", "Cookie: a=1", "X-A: 2", "Cookie: b=2")
    environ = environ_of(probe, "/environ", *headers)
    assert environ["HTTP_X_A"].replace(" ", "") == "1,2"
    assert environ["HTTP_COOKIE"].replace(" ", "") == "a=1;b=2"


def test_names_with_underscores_cannot_pose_as_others(probe):
    forged = ("X-Forwarded-For: 1.1.1.1", "X_Forwarded_For: 6.6.6.6", "Content_Length: 7", "Only_This: 1")
    environ = environ_of(probe, "/environ", *forged)
    assert environ["HTTP_X_FORWARDED_FOR"] == "1.1.1.1"
    assert not {"HTTP_CONTENT_LENGTH", "CONTENT_LENGTH", "HTTP_ONLY_THIS"} & environ.keys()


def test_proxy_header_is_not_passed_on(probe):
    assert "HTTP_PROXY" not in environ_of(probe, "/environ", "Proxy: http://evil")


def test_header_values_are_latin1(probe):
    assert environ_of(probe, "/environ", "X-Name: caf\xe9")["HTTP_X_NAME"] == "caf\xe9"


def test_http10(probe):
    with probe.connect() as wire:
        environ = json.loads(wire.send(b"GET /environ HTTP/1.0\r\n\r\n").response().body)
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.0"
    assert environ.get("HTTP_HOST", "") == ""


def test_absolute_form(probe):
    with probe.connect() as wire:
        wire.send(b"GET http://example.com:81/environ?x HTTP/1.1\r\nHost: example.com:81\r\n\r\n")
        environ = json.loads(wire.response().body)
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/environ", "x")
    assert environ["HTTP_HOST"] == "example.com:81"


PATHS = [
    ("/caf%C3%A9", "/caf\xc3\xa9"),
    ("/%FF%fe", "/\xff\xfe"),
    ("/a%2Fb", "/a/b"),
    ("/a//b", "/a//b"),
    ("/a%20b+c", "/a b+c"),
    ("/%zz%4", "/%zz%4"),
    ("/a;b=1", "/a;b=1"),
]


@pytest.mark.parametrize(("target", "path"), PATHS)
def test_path_is_decoded_to_latin1(server, target, path):
    probe = server("echo_paths:wsgi", "wsgi", "--blocking-threads", "8")
    assert probe.get(target).body.decode("latin-1") == path


def test_unix_socket(server):
    probe = server("wsgi_probe:app", "wsgi", "--blocking-threads", "8", uds=True)
    environ = environ_of(probe)
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == (probe.address, "0")
    assert environ["REMOTE_ADDR"] == ""


PREFIXED = [
    ("/prefix/environ", "/environ"),
    ("/prefix", "/"),
    ("/prefix/", "/"),
    ("/prefix/a/b", "/a/b"),
    ("/pre%66ix/x", "/x"),
]


@pytest.mark.parametrize(("target", "path"), PREFIXED)
def test_prefix_becomes_the_script_name(server, target, path):
    probe = server("echo_paths:wsgi", "wsgi", "--url-path-prefix", "/prefix")
    response = probe.get(target)
    assert (response.status, response.text) == (200, path)
    assert response.header("x-script-name") == "/prefix"


@pytest.mark.parametrize("target", ["/", "/x", "/prefixed", "/prefoo/x", "/other/prefix"])
def test_what_is_not_under_the_prefix_is_not_found(server, target):
    probe = server("echo_paths:wsgi", "wsgi", "--url-path-prefix", "/prefix")
    assert probe.get(target).status == 404
