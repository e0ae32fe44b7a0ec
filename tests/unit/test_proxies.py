"""`granian.utils.proxies`: whom to believe, and about what."""

import asyncio
from types import SimpleNamespace

import pytest

from granian.interfaces.detect import detect
from granian.rsgi import Scope
from granian.utils.proxies import (
    wrap_asgi_with_proxy_headers,
    wrap_rsgi_with_proxy_headers,
    wrap_wsgi_with_proxy_headers,
)

PROXY = "10.0.0.1"


def asgi(trusted="127.0.0.1", peer="127.0.0.1", kind="http", **headers):
    """The client's address and the scheme that an ASGI application sees."""
    seen = {}

    async def app(scope, receive, send):
        seen.update(scope)

    pairs = [(b"x-forwarded-" + name.encode(), v.encode()) for name, value in headers.items() for v in value]
    scope = {
        "type": kind,
        "client": (peer, 5) if peer else None,
        "scheme": "ws" if kind == "websocket" else "http",
        "headers": pairs,
    }
    asyncio.run(wrap_asgi_with_proxy_headers(app, trusted)(scope, None, None))
    return seen["client"] and seen["client"][0], seen["scheme"]


def wsgi(trusted="127.0.0.1", peer="127.0.0.1", **headers):
    """The same for WSGI."""
    seen = {}

    def app(environ, start_response):
        seen.update(environ)
        return []

    environ = {f"HTTP_X_FORWARDED_{name.upper()}": ",".join(value) for name, value in headers.items()}
    environ |= {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http"}
    assert wrap_wsgi_with_proxy_headers(app, trusted)(environ, None) == []
    return seen["REMOTE_ADDR"], seen["wsgi.url_scheme"]


both = pytest.mark.parametrize("seen", [asgi, wsgi])


@both
def test_nothing_forwarded(seen):
    assert seen() == ("127.0.0.1", "http")


@both
def test_client_and_scheme(seen):
    assert seen(**{"for": ["1.2.3.4"], "proto": ["https"]}) == ("1.2.3.4", "https")


@both
def test_scheme_alone_counts(seen):
    assert seen(proto=["https"]) == ("127.0.0.1", "https")


@both
def test_unknown_schemes_do_not_count(seen):
    assert seen(proto=["gopher"]) == ("127.0.0.1", "http")


@both
def test_strangers_are_not_believed(seen):
    assert seen(peer="9.9.9.9", **{"for": ["1.2.3.4"], "proto": ["https"]}) == ("9.9.9.9", "http")


@both
@pytest.mark.parametrize(
    ("trusted", "forwarded", "client"),
    [
        (["127.0.0.1", PROXY], ["6.6.6.6, 1.2.3.4, 10.0.0.1"], "1.2.3.4"),
        ("127.0.0.1, 10.0.0.1", ["6.6.6.6, 1.2.3.4,10.0.0.1"], "1.2.3.4"),
        ("127.0.0.1,10.0.0.0/8", ["1.2.3.4, 10.9.9.9"], "1.2.3.4"),
        ("127.0.0.1,10.0.0.0/8", ["10.1.1.1, 10.9.9.9"], "10.1.1.1"),
        ("127.0.0.1,fd00::/8", ["2001:db8::1, fd00::2"], "2001:db8::1"),
        ("127.0.0.1,proxy", ["1.2.3.4, proxy"], "1.2.3.4"),
        ("127.0.0.1,10.0.0.1", ["1.2.3.4, 10.0.0.1:80"], "1.2.3.4"),
        ("127.0.0.1", ["unknown"], "unknown"),
        ("127.0.0.1", ["6.6.6.6", "1.2.3.4"], "1.2.3.4"),
        ("127.0.0.1", [" , "], "127.0.0.1"),
        # What a client has written itself stands on the left.
        ("*", ["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
        (["*"], ["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
    ],
)
def test_right_most_that_is_not_trusted(seen, trusted, forwarded, client):
    assert seen(trusted, **{"for": forwarded})[0] == client


@both
def test_addresses_mapped_to_version_6(seen):
    assert seen(peer="::ffff:127.0.0.1", **{"for": ["1.2.3.4"]})[0] == "1.2.3.4"


@pytest.mark.parametrize("wrap", [wrap_asgi_with_proxy_headers, wrap_wsgi_with_proxy_headers])
@pytest.mark.parametrize("trusted", ["10.0.0.1/8", "10.0.0.0/33", "nonsense/8"])
def test_networks_that_are_none(wrap, trusted):
    with pytest.raises(ValueError):
        wrap(print, trusted)


def test_unix_sockets_are_trusted_with_everybody_only():
    forwarded = {"for": ["1.2.3.4"]}
    assert asgi(peer=None, **forwarded)[0] is None
    assert asgi("*", peer=None, **forwarded)[0] == "1.2.3.4"
    assert wsgi(peer="", **forwarded)[0] == ""
    assert wsgi("*", peer="", **forwarded)[0] == "1.2.3.4"


@pytest.mark.parametrize(("proto", "scheme"), [("https", "wss"), ("http", "ws"), ("wss", "wss"), ("ws", "ws")])
def test_websocket_schemes(proto, scheme):
    assert asgi(kind="websocket", proto=[proto])[1] == scheme


def test_lifespan_is_left_alone():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope)

    scope = {"type": "lifespan"}
    asyncio.run(wrap_asgi_with_proxy_headers(app)(scope, None, None))
    assert seen == [{"type": "lifespan"}]


@pytest.mark.parametrize("wrap", [wrap_asgi_with_proxy_headers, wrap_wsgi_with_proxy_headers])
def test_metadata_is_kept(wrap):
    def application():
        """What it does."""

    assert wrap(application).__name__ == "application"
    assert wrap(application).__doc__ == "What it does."


def test_names_are_no_addresses():
    assert wsgi("proxy", peer="proxy", **{"for": ["1.2.3.4"]})[0] == "1.2.3.4"
    assert wsgi("127.0.0.1", peer="proxy", **{"for": ["1.2.3.4"]})[0] == "proxy"


@both
def test_trusted_addresses_with_a_port_or_brackets(seen):
    assert seen("127.0.0.1,10.0.0.1", **{"for": ["1.2.3.4, 10.0.0.1:99"]})[0] == "1.2.3.4"
    assert seen("127.0.0.1,fd00::1", **{"for": ["1.2.3.4, [fd00::1]:99"]})[0] == "1.2.3.4"


def client_of(forwarded, trusted="127.0.0.1"):
    """The client's address and port as both interfaces have them."""
    seen = {}

    async def app(scope, receive, send):
        seen["asgi"] = scope["client"]

    def wsgi_app(environ, start_response):
        seen["wsgi"] = environ["REMOTE_ADDR"], int(environ["REMOTE_PORT"])
        return []

    scope = {"type": "http", "client": ("127.0.0.1", 5), "headers": [(b"x-forwarded-for", forwarded.encode())]}
    asyncio.run(wrap_asgi_with_proxy_headers(app, trusted)(scope, None, None))
    environ = {"REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": "5", "HTTP_X_FORWARDED_FOR": forwarded}
    wrap_wsgi_with_proxy_headers(wsgi_app, trusted)(environ, None)
    assert seen["asgi"] == seen["wsgi"]
    return seen["asgi"]


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("1.2.3.4", ("1.2.3.4", 0)),
        ("1.2.3.4:5678", ("1.2.3.4", 5678)),
        ("6.6.6.6:1, 1.2.3.4:5678", ("1.2.3.4", 5678)),
        ("2001:db8::1", ("2001:db8::1", 0)),
        ("2001:db8::1:443", ("2001:db8::1:443", 0)),
        ("[2001:db8::1]", ("2001:db8::1", 0)),
        ("[2001:db8::1]:443", ("2001:db8::1", 443)),
        ("::ffff:1.2.3.4", ("::ffff:1.2.3.4", 0)),
        ("[::ffff:1.2.3.4]:443", ("::ffff:1.2.3.4", 443)),
        ("1.2.3.4:", ("1.2.3.4", 0)),
        ("1.2.3.4:65536", ("1.2.3.4", 0)),
        ("1.2.3.4:http", ("1.2.3.4", 0)),
        ("a.host:99", ("a.host:99", 0)),
        ("_hidden", ("_hidden", 0)),
    ],
)
def test_ports_and_brackets_are_no_part_of_the_address(forwarded, client):
    assert client_of(forwarded) == client
    assert client_of(forwarded, "*") == client


@both
@pytest.mark.parametrize(
    ("trusted", "forwarded", "proto", "scheme"),
    [
        # The client has written the first value, its proxy has appended the second.
        ("127.0.0.1", ["1.2.3.4"], ["https, http"], "http"),
        ("127.0.0.1", ["1.2.3.4"], ["http", "https"], "https"),
        ("127.0.0.1", ["6.6.6.6, 1.2.3.4"], ["https, http"], "http"),
        ("127.0.0.1", [], ["https, http"], "http"),
        ("*", ["1.2.3.4, 10.0.0.1"], ["https, http"], "http"),
        # Two trusted proxies: the one that the client has talked to.
        ("127.0.0.1,10.0.0.1", ["1.2.3.4, 10.0.0.1"], ["https, http"], "https"),
        ("127.0.0.1,10.0.0.1", ["6.6.6.6, 1.2.3.4, 10.0.0.1"], ["gopher, https, http"], "https"),
        ("127.0.0.1,10.0.0.1", ["6.6.6.6, 1.2.3.4, 10.0.0.1"], ["https, http, http"], "http"),
        # Only the first of them tells.
        ("127.0.0.1,10.0.0.1", ["1.2.3.4, 10.0.0.1"], ["https"], "https"),
        ("127.0.0.1", ["1.2.3.4"], ["https, "], "https"),
        ("127.0.0.1", ["1.2.3.4"], ["https, gopher"], "http"),
    ],
)
def test_scheme_of_the_nearest_trusted_proxy(seen, trusted, forwarded, proto, scheme):
    assert seen(trusted, **{"for": forwarded, "proto": proto})[1] == scheme


class RsgiHeaders(dict):
    def get_all(self, name):
        return self.get(name, [])


def rsgi(trusted="127.0.0.1", peer="127.0.0.1:5", scheme="http", **headers):
    """The scope that an RSGI application sees."""
    seen = []

    async def app(scope, protocol):
        seen.append((scope, protocol))

    pairs = RsgiHeaders({f"x-forwarded-{name}": value for name, value in headers.items()})
    scope = SimpleNamespace(proto="ws", client=peer, scheme=scheme, headers=pairs)
    asyncio.run(wrap_rsgi_with_proxy_headers(app, trusted)(scope, "protocol"))
    assert seen[0][1] == "protocol"
    seen[0][0].route = "/items/{number}"
    assert scope.route == "/items/{number}"
    return seen[0][0]


@pytest.mark.parametrize(
    ("trusted", "peer", "headers", "client", "scheme"),
    [
        ("127.0.0.1", "127.0.0.1:5", {}, "127.0.0.1:5", "http"),
        ("127.0.0.1", "127.0.0.1:5", {"for": ["6.6.6.6, 1.2.3.4"], "proto": ["https"]}, "1.2.3.4:0", "https"),
        ("127.0.0.1", "127.0.0.1:5", {"for": ["6.6.6.6", "1.2.3.4:99"], "proto": ["wss"]}, "1.2.3.4:99", "https"),
        ("127.0.0.1", "127.0.0.1:5", {"for": ["2001:db8::1"], "proto": ["ws"]}, "[2001:db8::1]:0", "http"),
        ("127.0.0.1", "127.0.0.1:5", {"proto": ["https"]}, "127.0.0.1:5", "https"),
        ("127.0.0.1", "9.9.9.9:5", {"for": ["1.2.3.4"], "proto": ["https"]}, "9.9.9.9:5", "http"),
        ("::1", "[::1]:5", {"for": ["1.2.3.4"]}, "1.2.3.4:0", "http"),
        ("127.0.0.1", "", {"for": ["1.2.3.4"]}, "", "http"),
        ("*", "", {"for": ["1.2.3.4"]}, "1.2.3.4:0", "http"),
    ],
)
def test_rsgi(trusted, peer, headers, client, scheme):
    scope = rsgi(trusted, peer, **headers)
    assert (scope.client, scope.scheme, scope.proto) == (client, scheme, "ws")


def test_rsgi_scopes_are_read_only_scopes():
    scope = rsgi(**{"for": ["1.2.3.4"]})
    assert isinstance(scope, Scope)
    with pytest.raises(AttributeError):
        scope.client = "5.6.7.8:9"
    with pytest.raises(AttributeError):
        scope.nothing  # noqa: B018


def test_rsgi_hooks_are_kept():
    class App:
        async def __rsgi__(self, scope, protocol):
            """What it does."""
            calls.append(scope.client)

        def __rsgi_init__(self, loop):
            calls.append(loop)

        def __rsgi_del__(self, loop):
            calls.append(loop)

    calls = []
    wrapped = wrap_rsgi_with_proxy_headers(App())
    wrapped.__rsgi_init__("begin")
    scope = SimpleNamespace(client="127.0.0.1:5", scheme="http", headers=RsgiHeaders({"x-forwarded-for": ["1.2.3.4"]}))
    asyncio.run(wrapped(scope, None))
    wrapped.__rsgi_del__("end")
    assert calls == ["begin", "1.2.3.4:0", "end"]
    assert wrapped.__doc__ == "What it does."
    assert detect(wrapped) == "rsgi"

    async def plain(scope, protocol): ...

    assert not hasattr(wrap_rsgi_with_proxy_headers(plain), "__rsgi_init__")
