"""Real frameworks through real clients: httpx and curl, asyncio and uvloop, inline and pooled WSGI."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import subprocess
from collections.abc import Iterator

import httpx
import pytest

from .server import Server

ASGI = ["fastapi_app", "starlette_app", "litestar_app", "quart_app", "django_asgi", "falcon_asgi"]
WSGI = ["flask_app", "django_wsgi", "falcon_wsgi"]
CASES = [(name, loop) for name in ASGI for loop in ("asyncio", "uvloop")]
CASES += [(name, threads) for name in WSGI for threads in ("1", "8")]
LIFESPAN = [case for case in CASES if case[0] in ASGI and case[0] != "django_asgi"]
BACKGROUND = LIFESPAN
SYNC = [case for case in CASES if case[0] not in ("falcon_asgi", "django_asgi")]

LINES = b"".join(b"line %d\n" % n for n in range(100))
LARGE = b"0123456789abcdef" * 65536
FILE = bytes(range(256)) * 8192


def skip_unless_installed(*names: str) -> None:
    for name in names:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")


@pytest.fixture
def app(request, server) -> Server:
    name, variant = request.param
    skip_unless_installed(name.partition("_")[0])
    if name in WSGI:
        return server(f"{name}:app", "wsgi", "--blocking-threads", variant)
    skip_unless_installed(variant)
    return server(f"{name}:app", "asgi", loop=variant)


@pytest.fixture
def client(app) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=app.url, timeout=10, trust_env=False) as client:
        yield client


def every(cases: list[tuple[str, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("app", cases, indirect=True, ids="-".join)


@every(CASES)
def test_routes(client):
    response = client.get("/")
    assert (response.status_code, response.text) == (200, "home")
    assert response.headers["content-type"].startswith("text/plain")
    assert response.headers["server"] == "granian"
    assert client.get("/nowhere").status_code == 404
    assert client.post("/").status_code == 405 or client.post("/").text == "home"
    assert client.head("/").status_code in (200, 405)
    assert client.get("/").text == "home"


@every(CASES)
def test_json(client):
    assert client.get("/json/7", params={"q": "a b&c=caf\xe9"}).json() == {"n": 7, "q": "a b&c=caf\xe9"}
    body = {"numbers": list(range(5000))}
    assert client.post("/json", json=body).json() == body


@every(CASES)
def test_upload(client):
    files = {"file": ("caf.bin", FILE, "application/x-probe")}
    response = client.post("/upload", data={"field": "value"}, files=files)
    assert response.json() == {
        "field": "value",
        "name": "caf.bin",
        "type": "application/x-probe",
        "size": len(FILE),
        "sha256": hashlib.sha256(FILE).hexdigest(),
    }


@every(CASES)
def test_chunked_json(app, client):
    """A request body of unknown length. Of WSGI frameworks only some read one."""
    pieces = iter([b'{"numbers"', b": [1, 2]", b"}"])
    response = client.post("/json", content=pieces, headers={"content-type": "application/json"})
    if app.spec.interface == "asgi":
        assert response.json() == {"numbers": [1, 2]}
    assert client.get("/").text == "home"


@every(CASES)
def test_stream(client):
    with client.stream("GET", "/stream") as response:
        assert response.headers.get("transfer-encoding") == "chunked"
        assert b"".join(response.iter_raw()) == LINES
    assert client.get("/").text == "home"


@every(CASES)
def test_large(client):
    response = client.get("/large")
    assert response.headers.get("content-length", str(len(LARGE))) == str(len(LARGE))
    assert response.content == LARGE


@every(CASES)
def test_cookies(app):
    with httpx.Client(base_url=app.url, trust_env=False, cookies={"seen": "yes", "other": "x"}) as client:
        response = client.get("/cookies")
        assert response.text == "yes"
        assert (client.cookies["a"], client.cookies["b"]) == ("1", "2")
        assert len(response.headers.get_list("set-cookie")) == 2


@every(CASES)
def test_exception_page(app, client):
    """The framework's own page, however it goes on to raise; and one traceback at most is the server's."""
    for _ in range(2):
        mark = app.mark()
        response = client.get("/boom")
        assert (response.status_code, response.headers["server"]) == (500, "granian")
        assert "Internal Server Error" in response.text or "Server Error (500)" in response.text
        assert int(response.headers["content-length"]) == len(response.content)
        assert client.get("/").text == "home"
        assert app.log(mark).count("Application callable raised an exception") <= 1


@every(BACKGROUND)
def test_background(app, client):
    mark = app.mark()
    response = client.get("/background")
    assert (response.status_code, response.text) == (202, "accepted")
    assert app.note("background", mark) == app.spec.target.partition("_")[0]
    assert client.get("/").text == "home"


@every(SYNC)
def test_plain_functions_share_their_threads(client):
    names = {client.get("/sync").text for _ in range(20)}
    assert len(names) <= 8
    assert all(names)


@every(CASES)
def test_many_requests_on_one_connection(client):
    for n in range(100):
        assert client.get(f"/json/{n}").json()["n"] == n


@every(LIFESPAN)
def test_lifespan(request, server, app):
    own = server(app.spec.target, app.spec.interface, loop=app.spec.loop, fresh=True)
    assert own.note("startup") is None
    assert own.get("/").text == "home"
    own.stop()
    assert own.note("shutdown") is None


def curl(app: Server, path: str, *arguments: str, data: bytes | None = None) -> bytes:
    command = ["curl", "--silent", "--show-error", "--fail", "--max-time", "10", *arguments, app.url + path]
    done = subprocess.run(command, input=data, capture_output=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@every(CASES)
def test_curl(app, tmp_path):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    assert curl(app, "/") == b"home"
    assert curl(app, "/", "--http1.0") == b"home"
    assert json.loads(curl(app, "/json/1?q=x")) == {"n": 1, "q": "x"}
    assert curl(app, "/stream", "--no-buffer") == LINES
    jar = tmp_path / "jar"
    curl(app, "/cookies", "--cookie-jar", str(jar))
    assert "a\t1" in jar.read_text()
    (tmp_path / "file.bin").write_bytes(FILE)
    # Beyond a megabyte curl asks for 100 Continue by itself.
    form = ["--form", "field=value", "--form", f"file=@{tmp_path}/file.bin;type=a/b"]
    answer = json.loads(curl(app, "/upload", *form))
    assert answer["sha256"] == hashlib.sha256(FILE).hexdigest()
    assert (answer["size"], answer["name"]) == (len(FILE), "file.bin")
    number = ["--data", '{"numbers": [1]}', "--header", "content-type: application/json"]
    assert json.loads(curl(app, "/json", *number)) == {"numbers": [1]}
    assert curl(app, "/", "--include", app.url + "/", "--next", "--silent").count(b"home") == 2
