"""WSGI responses per PEP 3333, called inline (one blocking thread) and from a pool."""

from __future__ import annotations

import gzip
import os

import pytest

from .server import Server, script

OK = "start_response('200 OK', [('Content-Type', 'text/plain')])"


@pytest.fixture(params=["1", "8"])
def probe(request, server) -> Server:
    return server("wsgi_probe:app", "wsgi", "--blocking-threads", request.param)


@pytest.fixture
def clean_log(probe):
    """The validator had nothing to say."""
    mark = probe.mark()
    yield
    assert probe.get("/").status == 200
    for sign in ("AssertionError", "WSGIWarning", "without being closed"):
        assert sign not in probe.log(mark)


@pytest.mark.usefixtures("clean_log")
def test_simple_response(probe):
    response = probe.get("/")
    assert (response.version, response.status, response.reason) == ("HTTP/1.1", 200, "OK")
    assert response.body == b"hello"
    assert response.header("content-type") == "text/plain"
    assert response.header("server") == "granian"
    assert response.header("date")


def test_names_of_start_response(probe):
    """They are those of wsgiref."""
    call = "start_response(status='201 Created', headers=[('Content-Type', 'text/plain')], exc_info=None)"
    response = probe.get("/script", script(call, "result = [b'named']"))
    assert (response.status, response.body) == (201, b"named")


@pytest.mark.parametrize(
    ("result", "body"), [("[b'hello']", b"hello"), ("[b'one ', b'', b'two']", b"one two"), ("[]", b"")]
)
def test_list_has_a_content_length(probe, result, body):
    response = probe.get("/script", script(OK, f"result = {result}"))
    assert response.body == body
    assert response.header("content-length") == str(len(body))


@pytest.mark.usefixtures("clean_log")
def test_stream(probe):
    mark = probe.mark()
    response = probe.get("/stream?n=3&size=4")
    assert response.header("transfer-encoding") == "chunked"
    assert response.chunks == [b"aaaa", b"bbbb", b"cccc"]
    probe.note("stream.closed", mark)


@pytest.mark.usefixtures("clean_log")
def test_stream_over_http10_ends_with_the_connection(probe):
    with probe.connect() as wire:
        wire.send(b"GET /stream?n=3&size=4 HTTP/1.0\r\n\r\n")
        response = wire.response()
        assert response.header("transfer-encoding") is None
        assert response.body == b"aaaabbbbcccc"


@pytest.mark.usefixtures("clean_log")
def test_head_request(probe):
    mark = probe.mark()
    with probe.connect() as wire:
        head = wire.request("HEAD", "/script", script(OK, "result = [b'hello']")).response("HEAD")
        assert head.header("content-length") == "5"
        assert wire.request("HEAD", "/stream").response("HEAD").status == 200
        probe.note("stream.closed", mark)
        assert wire.request("GET", "/").response().body == b"hello"


@pytest.mark.usefixtures("clean_log")
def test_generator_application_keeps_its_status(probe):
    response = probe.get("/lazy")
    assert (response.status, response.reason) == (404, "Not Here")
    assert response.header("x-lazy") == "yes"
    assert response.body == b"lazy body"


@pytest.mark.usefixtures("clean_log")
def test_chunks_are_not_held_back(probe, tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with probe.connect() as wire:
        wire.request("GET", f"/fifo?path={path}")
        assert wire.head().header("transfer-encoding") == "chunked"
        assert wire.chunk() == b"first"
        path.write_bytes(b"second")
        assert wire.chunk() == b"second"
        assert wire.chunk() == b""


@pytest.mark.usefixtures("clean_log")
@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
def test_echo(probe, size):
    body = b"x" * size
    with probe.connect() as wire:
        assert wire.request("POST", "/echo", body=body).response().body == body
        assert wire.request("GET", "/").response().body == b"hello"


@pytest.mark.usefixtures("clean_log")
def test_file_wrapper(probe, tmp_path):
    content = bytes(range(256)) * 2000
    (tmp_path / "file").write_bytes(content)
    assert probe.get(f"/file?path={tmp_path}/file").body == content
    assert probe.get(f"/file?path={tmp_path}/file&offset=100").body == content[100:]


@pytest.mark.parametrize(("headers", "size"), [("", 1900), ("('Content-Length', '200')", 200)])
def test_file_wrapper_outside_the_validator(probe, tmp_path, headers, size):
    """The server sees that it is a real file, sends it from where it stands, and closes it."""
    content = bytes(range(200)) * 10
    (tmp_path / "file").write_bytes(content)
    steps = [
        f"start_response('200 OK', [{headers}])",
        "class File(__import__('io').FileIO):\n  def close(self):\n    note('file.closed')\n    super().close()",
        f"file = File('{tmp_path}/file')",
        "file.seek(100)",
        "result = environ['wsgi.file_wrapper'](file, 512)",
    ]
    mark = probe.mark()
    with probe.connect() as wire:
        response = wire.request("GET", "/script", script(*steps)).response()
        assert response.body == content[100 : 100 + size]
        assert response.header("content-length") == str(size)
        assert wire.request("GET", "/").response().body == b"hello"
    probe.note("file.closed", mark)


def test_file_wrapper_of_a_file_that_reads_otherwise(probe, tmp_path):
    """What `read` gives counts, not what is behind the descriptor."""
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(b"unpacked"))
    steps = (
        "start_response('200 OK', [])",
        f"result = environ['wsgi.file_wrapper'](__import__('gzip').open('{path}'))",
    )
    assert probe.get("/script", script(*steps)).body == b"unpacked"


@pytest.mark.usefixtures("clean_log")
def test_file_wrapper_of_something_like_a_file(probe):
    mark = probe.mark()
    assert probe.get("/file/memory").body == b"memory" * 5000
    probe.note("memory.closed", mark)


@pytest.mark.usefixtures("clean_log")
def test_thread_inside_a_request(probe):
    assert probe.get("/thread").body == b"from a thread"


@pytest.mark.usefixtures("clean_log")
def test_wsgi_errors_is_the_log(probe):
    mark = probe.mark()
    assert probe.get("/errors").body == b"written"
    probe.wait_line("a word to the log", mark)


STATUSES = [("200 Fine", "Fine"), ("404 Not Here At All", "Not Here At All"), ("299 caf\\xe9", "caf\xe9")]


@pytest.mark.parametrize(("status", "reason"), STATUSES)
def test_reason_phrase(probe, status, reason):
    response = probe.get("/script", script(f"start_response('{status}', [])"))
    assert (response.status, response.reason) == (int(status[:3]), reason)


def test_headers_are_latin1_in_order_and_lower_case(probe):
    headers = "[('X-A', '1'), ('Set-Cookie', 'a'), ('Set-Cookie', 'b'), ('X-E', 'caf\\xe9')]"
    response = probe.get("/script", script(f"start_response('200 OK', {headers})"))
    own = [field for field in response.headers if field[0].startswith(("x-", "set-"))]
    assert own == [("x-a", "1"), ("set-cookie", "a"), ("set-cookie", "b"), ("x-e", "caf\xe9")]


def test_start_response_takes_three_arguments(probe):
    step = "start_response('200 OK', [], exc_info=None)"
    assert probe.get("/script", script(step, "result = [b'x']")).body == b"x"


def test_write(probe):
    mark = probe.mark()
    steps = [f"write = {OK}", "write(b'written ')", "write(b'twice ')", "result = [b'returned']"]
    response = probe.get("/script", script(*steps))
    assert probe.note("script", mark) == ["ok"] * 4
    assert (response.status, response.body) == (200, b"written twice returned")


def test_writing_only(probe):
    response = probe.get("/script", script(f"{OK}(b'written')"))
    assert (response.status, response.body) == (200, b"written")


def test_hop_by_hop_headers_do_not_break_the_framing(probe):
    for header in ("('Transfer-Encoding', 'chunked')", "('Connection', 'keep-alive, x')"):
        with probe.connect() as wire:
            steps = [f"start_response('200 OK', [{header}])", "result = [b'5\\r\\nhello']"]
            response = wire.request("GET", "/script", script(*steps)).response()
            if response.status != 500:
                assert (response.status, response.body) == (200, b"5\r\nhello")
            assert wire.request("GET", "/").response().body == b"hello"


CLOSED = [
    ("ClosingList([b'a', b'b'])", "list.closed", b"ab"),
    ("Closing('it', [b'a', b'b'])", "it.closed", b"ab"),
    ("Closing('empty', [])", "empty.closed", b""),
]


@pytest.mark.parametrize(("result", "name", "body"), CLOSED)
def test_result_is_closed(probe, result, name, body):
    mark = probe.mark()
    response = probe.get("/script", script(OK, f"result = {result}"))
    assert response.body == body
    probe.note(name, mark)
    probe.get("/")
    assert probe.log(mark).count(f"@{name}") == 1


RESULTS = [
    ("[b'a', b'b']", b"ab"),
    ("(b'a', b'b')", b"ab"),
    ("iter([b'a', b'b'])", b"ab"),
    ("(x for x in [b'', b'a', b'', b'b', b''])", b"ab"),
    ("[]", b""),
    ("iter([])", b""),
    ("{b'a': 1}", b"a"),
]


@pytest.mark.parametrize(("result", "body"), RESULTS)
def test_any_iterable_of_bytes(probe, result, body):
    with probe.connect() as wire:
        response = wire.request("GET", "/script", script(OK, f"result = {result}")).response()
        assert (response.status, response.body) == (200, body)
        assert wire.request("GET", "/").response().body == b"hello"


def test_second_start_needs_exc_info(probe):
    mark = probe.mark()
    steps = [OK, "start_response('201 Created', [])", "result = [b'x']"]
    response = probe.get("/script", script(*steps))
    assert probe.note("script", mark)[1] != "ok"
    assert (response.status, response.body) == (200, b"x")


FAILING = "try:\n  1/0\nexcept Exception:\n  {}"


def test_exc_info_replaces_a_head_that_has_not_left(probe):
    mark = probe.mark()
    again = FAILING.format("start_response('502 Oops', [('a', '1')], sys.exc_info())")
    response = probe.get("/script", script(OK, again, "result = [b'x']"))
    assert probe.note("script", mark) == ["ok"] * 3
    assert (response.status, response.reason, response.header("a")) == (502, "Oops", "1")
    assert response.header("content-type") is None


def test_exc_info_is_raised_when_the_head_has_left(probe):
    mark = probe.mark()
    again = FAILING.format("start_response('502 Oops', [], sys.exc_info())")
    response = probe.get("/script", script(f"{OK}(b'out')", again))
    assert probe.note("script", mark) == ["ok", "ZeroDivisionError: division by zero"]
    assert (response.status, response.body) == (200, b"out")


def test_head_of_an_endless_body(probe):
    """Nothing but the head is wanted of it."""
    mark = probe.mark()
    with probe.connect() as wire:
        assert wire.request("HEAD", "/stream?n=1000000000&name=endless").response("HEAD").status == 200
        probe.note("endless.closed", mark)
        assert wire.request("GET", "/").response().body == b"hello"


@pytest.mark.parametrize("code", [204, 205, 304])
def test_endless_body_with_a_status_that_has_none(probe, code):
    mark = probe.mark()
    steps = [
        f"start_response('{code} Oh', [])",
        "result = Closing('endless', iter(lambda: b'x' * 1024, None))",
    ]
    with probe.connect() as wire:
        assert wire.request("GET", "/script", script(*steps)).response().status == code
        probe.note("endless.closed", mark)
        assert wire.request("GET", "/").response().body == b"hello"
