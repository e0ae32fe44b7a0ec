"""An HTTP/2 client that shows the frames: streams by number, their responses, and the end of the connection."""

from __future__ import annotations

import ssl
import struct
from dataclasses import dataclass, field
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from .wire import DEADLINE, Address, Wire

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
GOAWAY = 7
Headers = list[tuple[str, str]]


@dataclass
class Answer:
    """The frames received on one stream."""

    headers: Headers = field(default_factory=list)
    informational: list[Headers] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    # Lengths of the frames that the body came in.
    pieces: list[int] = field(default_factory=list)
    trailers: Headers = field(default_factory=list)
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int:
        return int(dict(self.headers)[":status"])

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)


class H2Wire:
    """One connection. Windows open only when `take` says so, or `greedy` is set."""

    def __init__(
        self,
        address: Address,
        *,
        context: ssl.SSLContext | None = None,
        settings: dict[int, int] | None = None,
        greedy: bool = True,
        validate: bool = True,
        upgrade: bytes | None = None,
        **more: Any,
    ) -> None:
        assert isinstance(address, tuple)
        plain = Wire(address, **more).socket
        self.socket = context.wrap_socket(plain, server_hostname="localhost") if context else plain
        config = h2.config.H2Configuration(
            header_encoding="utf-8", validate_outbound_headers=validate, normalize_outbound_headers=validate
        )
        self.h2 = h2.connection.H2Connection(config)
        self.greedy = greedy
        self.answers: dict[int, Answer] = {}
        self.pushed: dict[int, Headers] = {}
        # Kind and stream of all frames that have come.
        self.seen: list[tuple[int, int]] = []
        self.goaway: int | None = None
        self.closed = False
        self._partial = b""
        if upgrade is not None:
            return self._upgrade(upgrade)
        self.h2.initiate_connection()
        if settings:
            self.h2.update_settings(settings)  # type: ignore[arg-type]
        self.flush()

    def _upgrade(self, request: bytes) -> None:
        """Sends a request of HTTP/1.1, which is stream 1 after the upgrade; `%s` stands for the settings."""
        settings = self.h2.initiate_upgrade_connection()
        assert settings is not None
        self.answers[1] = Answer()
        self.socket.sendall(request.replace(b"%s", settings))
        self.switch = b""
        while b"\r\n\r\n" not in self.switch:
            data = self.socket.recv(65536)
            assert data, f"closed after {self.switch!r}"
            self.switch += data
        self.switch, _, first = self.switch.partition(b"\r\n\r\n")
        assert self.switch.startswith(b"HTTP/1.1 101 "), self.switch
        for event in self.h2.receive_data(self._without_goaway(first)):
            self._take(event)
        self.flush()

    def __enter__(self) -> H2Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def flush(self) -> None:
        if data := self.h2.data_to_send():
            self.socket.sendall(data)

    def start(self, method: str, path: str, *more: tuple[str, str], end: bool = True, authority: str = "h") -> int:
        """Begins a request; its stream's number."""
        number = self.h2.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "http"), (":path", path)]
        if authority:
            pseudo.insert(1, (":authority", authority))
        self.h2.send_headers(number, [*pseudo, *more], end_stream=end)
        self.answers[number] = Answer()
        self.flush()
        return number

    def data(self, number: int, data: bytes, *, end: bool = False) -> None:
        """Sends a body as the windows open."""
        while data or end:
            room = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size)
            if data and room <= 0:  # below, when SETTINGS made it smaller than what is under way (RFC 9113, 6.9.2)
                assert self.step(), "closed while the window was shut"
                continue
            piece, data = data[:room], data[room:]
            self.h2.send_data(number, piece, end_stream=end and not data)
            self.flush()
            if not data:
                return

    def request(self, method: str, path: str, *more: tuple[str, str], body: bytes | None = None) -> Answer:
        """One whole exchange."""
        number = self.start(method, path, *more, end=body is None)
        if body is not None:
            self.data(number, body, end=True)
        return self.answer(number)

    def answer(self, number: int) -> Answer:
        """Waits for the end of a response, or of its stream."""
        answer = self.answers[number]
        while not answer.ended and answer.reset is None:
            assert self.step(), f"closed, GOAWAY {self.goaway}, after {answer}"
        return answer

    def until_closed(self) -> int | None:
        """Waits for the end of the connection; the code of its GOAWAY."""
        while self.step():
            pass
        return self.goaway

    def step(self, timeout: float = DEADLINE) -> bool:
        """Takes what comes next. False at the end of the connection."""
        self.socket.settimeout(timeout)
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self.closed = True
            return False
        for event in self.h2.receive_data(self._without_goaway(data)):
            self._take(event)
        self.flush()
        return True

    def _without_goaway(self, data: bytes) -> bytes:
        """Whole frames but GOAWAY, behind which h2 wants nothing more, though streams may go on."""
        self._partial += data
        rest = b""
        while len(self._partial) >= 9:
            length = 9 + int.from_bytes(self._partial[:3], "big")
            if len(self._partial) < length:
                break
            whole, self._partial = self._partial[:length], self._partial[length:]
            self.seen.append((whole[3], int.from_bytes(whole[5:9], "big")))
            if whole[3] == GOAWAY:
                self.goaway = int.from_bytes(whole[13:17], "big")
            else:
                rest += whole
        return rest

    def _take(self, event: h2.events.Event) -> None:
        answer = self.answers.get(getattr(event, "stream_id", None) or 0, Answer())
        if isinstance(event, h2.events.PushedStreamReceived):
            self.pushed[event.pushed_stream_id] = list(event.headers)  # type: ignore[index,arg-type]
            self.answers[event.pushed_stream_id] = Answer()  # type: ignore[index]
        elif isinstance(event, h2.events.InformationalResponseReceived):
            answer.informational.append(list(event.headers))  # type: ignore[arg-type]
        elif isinstance(event, h2.events.ResponseReceived):
            answer.headers = list(event.headers)  # type: ignore[arg-type]
        elif isinstance(event, h2.events.TrailersReceived):
            answer.trailers = list(event.headers)  # type: ignore[arg-type]
        elif isinstance(event, h2.events.DataReceived):
            answer.body += event.data
            answer.pieces.append(len(event.data))
            if self.greedy and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            answer.ended = True
        elif isinstance(event, h2.events.StreamReset):
            answer.reset = int(event.error_code)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame as it stands on the wire."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


@dataclass
class Frame:
    """One that has come."""

    kind: int
    flags: int
    stream: int
    payload: bytes


def frames_of(data: bytes) -> list[Frame]:
    """The whole frames at the start of what has come."""
    frames = []
    while len(data) >= 9 and len(data) >= 9 + (length := int.from_bytes(data[:3], "big")):
        kind, flags, stream = struct.unpack(">BBI", data[3:9])
        frames.append(Frame(kind, flags, stream, data[9 : 9 + length]))
        data = data[9 + length :]
    return frames
