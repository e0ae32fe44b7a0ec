"""Large messages of websockets: they become objects of the application's in parts, between which others are served."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from .conftest import ServerFactory
from .server import Server, script
from .websocket import BINARY, FIN, PING, PONG, TEXT, WebSocket, frame, open_websocket

MIB = 1 << 20
# A pass has half a millisecond for parts. No machine fills 16 MiB in two of them.
PASSES = 2
ASGI = ("ws_asgi:app", "asginl")
RSGI = ("ws_rsgi:app", "rsgi")


@pytest.fixture(params=[ASGI, RSGI], ids=["asgi", "rsgi"])
def app(request: pytest.FixtureRequest, server: ServerFactory, loop: str) -> Server:
    return server(*request.param, loop=loop)


def send(websocket: WebSocket, message: str | bytes) -> None:
    """In one frame, with a mask of zeros: to apply another one would take a second for each MiB."""
    payload = message.encode() if isinstance(message, str) else message
    opcode = TEXT if isinstance(message, str) else BINARY
    head = struct.pack("!BBQ", FIN | opcode, 0x80 | 127, len(payload))
    websocket.wire.socket.sendall(head + bytes(4) + payload)


TEXTS = {
    "ascii": "abc" * MIB,
    "latin": "abc" * MIB + "é",
    "latin-first": "é" + "abc" * MIB,
    "two-bytes": "κόσμε" * (MIB // 4),
    "one-wide": "x" * (2 * MIB - 1) + "€" + "y" * MIB,
    "four-bytes": "x" + "😀" * (MIB // 2 + 1),
    "last-four": "é" * MIB + "😀",
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts_of_every_width(app: Server, name: str) -> None:
    with open_websocket(app) as websocket:
        send(websocket, TEXTS[name])
        assert websocket.message() == TEXTS[name]


@pytest.mark.parametrize("size", [MIB - 1, MIB, MIB + 1, 3 * MIB + 5, 16 * MIB])
def test_bytes(app: Server, size: int) -> None:
    message = (bytes(range(251)) * (size // 251 + 1))[:size]
    with open_websocket(app) as websocket:
        send(websocket, message)
        assert websocket.message() == message


@pytest.mark.parametrize("message", ["x" * 16 * MIB, b"x" * 16 * MIB], ids=["text", "bytes"])
@pytest.mark.parametrize("interface", [ASGI, RSGI], ids=["asgi", "rsgi"])
def test_others_have_their_turns_between_the_parts(
    server: ServerFactory, loop: str, interface: tuple[str, str], message: str | bytes
) -> None:
    app = server(*interface, loop=loop)
    steps = {
        ASGI: ["await accept()", "stepped = Stepped(receive())"],
        RSGI: ["transport = await protocol.accept()", "stepped = Stepped(transport.receive())"],
    }
    mark = app.mark()
    more = ["await stepped", "note('passes', stepped.passes)"]
    with open_websocket(app, "/", script(*steps[interface], *more)) as websocket:
        send(websocket, message)
        assert app.note("passes", mark) >= PASSES


def test_one_that_is_cancelled_is_received_by_the_next_call(server: ServerFactory, loop: str) -> None:
    app = server(*ASGI, loop=loop)
    with open_websocket(app, "/wait_for") as websocket:
        for number in range(4):
            message = str(number) * 4 * MIB
            send(websocket, message)
            send(websocket, b"small" * 14_000)
            assert websocket.message() == message
            assert websocket.message() == b"small" * 14_000


def test_one_that_nobody_goes_on_with_holds_up_no_other(server: ServerFactory, loop: str) -> None:
    app = server(*ASGI, loop=loop)
    message = b"x" * 2 * MIB
    steps = ["await accept()", "await step_until_a_pass(receive())", "await text('left')"]
    steps += ["message = await receive()", "note('size', len(message['bytes']))"]
    mark = app.mark()
    with open_websocket(app, "/", script(*steps)) as left, open_websocket(app) as other:
        send(left, message)
        assert left.message() == "left"
        send(other, message)
        assert other.message() == message
        assert app.note("size", mark) == len(message)


def test_a_second_receive_is_an_error_meanwhile(server: ServerFactory, loop: str) -> None:
    app = server(*RSGI, loop=loop)
    steps = ["transport = await protocol.accept()", "first = transport.receive()", "await step_until_a_pass(first)"]
    steps += ["await transport.receive()", "first.close()", "message = await transport.receive()"]
    steps += ["note('size', len(message.data))"]
    mark = app.mark()
    with open_websocket(app, "/", script(*steps)) as websocket:
        send(websocket, "x" * 2 * MIB)
        assert app.note("size", mark) == 2 * MIB
    assert app.note("script", mark)[3] == "ProtocolError: RSGI protocol error"


CANCELS = {
    "closed": ["first = receive()", "await step_until_a_pass(first)", "first.close()"],
    "late": [
        "try:\n    message = await asyncio.wait_for(receive(), 0.0001)\n"
        "except asyncio.TimeoutError:\n    message = await receive()"
    ],
    "task": [
        "task = asyncio.ensure_future(receive())",
        "await asyncio.sleep(0)",
        "task.cancel()",
        "await asyncio.wait([task])",
    ],
}


@pytest.mark.parametrize("name", CANCELS)
@pytest.mark.parametrize("interface", [ASGI, RSGI], ids=["asgi", "rsgi"])
def test_one_that_has_come_before_a_call_that_is_cancelled(
    server: ServerFactory, loop: str, interface: tuple[str, str], name: str, tmp_path: Path
) -> None:
    # The connection reads on behind the message, and so answers a ping.
    app = server(*interface, "--ws-queue-size", str(16 * MIB), loop=loop)
    here = tmp_path / "here"
    begin = {ASGI: ["await accept()"], RSGI: ["receive = (await protocol.accept()).receive"]}
    give = {ASGI: "note('size', len(message['bytes']))", RSGI: "note('size', len(message.data))"}
    receive = [] if name == "late" else ["message = await receive()"]
    steps = [*begin[interface], f"await work_until({str(here)!r})", *CANCELS[name], *receive, give[interface]]
    mark = app.mark()
    with open_websocket(app, "/", script(*steps)) as websocket:
        send(websocket, b"x" * 8 * MIB)
        websocket.wire.socket.sendall(frame(PING, b"here"))
        assert websocket.frame() == (FIN | PONG, b"here")
        here.touch()
        assert app.note("size", mark) == 8 * MIB


def test_after_its_own_close_an_application_gets_no_message(server: ServerFactory, loop: str) -> None:
    app = server(*ASGI, loop=loop)
    steps = ["await accept()", "await step_until_a_pass(receive())", "await close()"]
    steps += ["message = await receive()", "note('type', message['type'])"]
    mark = app.mark()
    with open_websocket(app, "/", script(*steps)) as websocket:
        send(websocket, b"x" * 16 * MIB)
        assert app.note("type", mark) == "websocket.disconnect"
