"""HTTP/1 as others read it: where they differ from this server, a rule says why.

Nothing is ever read differently: one of the two refuses earlier, or goes on for longer. Each reason
is a rule of an RFC and a sign in the bytes.
"""

from __future__ import annotations

import re

import pytest

from .oracles import Reading, ask, corpus, damaged, framed, read_h11, read_llhttp
from .server import Server

BATCH = 50
DAMAGED = 1500
FRAMED = 700

# This server refuses what another reads.
STRICTER = {
    "a bare LF is no line end (RFC 9112, 2.2: MAY)": rb"(?<!\r)\n|h: 4(?s:.*)\n0\r\n\r\nGET",
    "a bare CR is an error (RFC 9112, 2.2: MUST)": rb"\r(?!\n)",
    "control characters in a value (RFC 9110, 5.5: MUST)": rb"[\0-\x08\x0b\x0c\x0e-\x1f\x7f]",
    "folded lines (RFC 9112, 5.2: MUST)": rb"\r\n[ \t]",
    "a line without a version (RFC 9112, 3: 400)": rb"(?m)^[^\r\n :]+ [^\r\n ]*\r\n",
    "only HTTP/1.0 and 1.1 (RFC 9110, 15.6.6)": rb"HTTP/(?!1\.[01]\r)",
    "length and coding (RFC 9112, 6.1: ought)": rb"(?is)transfer-encoding:.*t-length:|t-length:.*transfer-encoding:",
    "a coding in HTTP/1.0 (RFC 9112, 6.1: MUST)": rb"(?is)HTTP/1\.0\r.*transfer-encoding",
    "other codings, 501 (RFC 9112, 6.1: SHOULD)": rb"(?i)transfer-encoding:(?![ \t]*chunked[ \t]*\r)",
    "a list of lengths (RFC 9112, 6.3: MUST or take)": rb"(?i)content-length:[^\r]*,",
    "no tunnels, 405 or 501 (RFC 9110, 9.3.6)": rb"CONNECT ",
    "target in no known form (RFC 9112, 3.2: 400)": rb"(?i)[^ \r\n]+ (?!/|https?://[^/?@# ]+[/?# ])[^\r\n]* HTTP/",
    "space around a chunk size (RFC 9112, 7.1)": rb"\r\n[0-9a-fA-F]+[ \t]+[\r;]",
    "an unknown expectation, 417 (RFC 9110, 10.1.1: MAY)": rb"(?i)expect:(?![ \t]*100-continue[ \t]*\r)",
    "too many empty lines (RFC 9112, 2.2: at least one)": rb"(\r\n){15}",
    "no form of a target has a fragment (RFC 9112, 3.2)": rb" [^ \r\n]*#[^ \r\n]* HTTP/",
}

# This server reads what another refuses.
LAXER = {
    "a method is any token (RFC 9110, 9.1)": rb"(?m)^(?!GET |POST |HEAD |OPTIONS )[!#-'*+.^-z|~\w-]+ ",
    "extensions of chunks (RFC 9112, 7.1.1: MUST ignore)": rb"(?i)\r\n[0-9a-f]+[ \t]*;",
    "fields not for trailers (RFC 9110, 6.5.1: MUST NOT merge)": rb"(?i)\r\n0+\r\n(content-length|host|transfer)",
    "equal lengths count once (RFC 9110, 8.6: MUST or refuse)": rb"(?is)content-length:.*content-length:",
    "an empty line before a request (RFC 9112, 2.2: SHOULD)": rb"(?s)^\r\n|.\r\n[A-Z]+ |\r\n\r\n\r\n$",
}

# The other one stops after a request that this server keeps the connection for.
LONGER = {
    "HTTP/1.0 with keep-alive (RFC 9112, 9.3: SHOULD)": rb"(?is)HTTP/1\.0\r.*keep-alive",
}

# And the other way round.
SHORTER = {
    "close is stronger than keep-alive (RFC 9112, 9.3)": rb"(?is)HTTP/1\.0\r.*connection: close\r",
}


@pytest.fixture
def probe(server) -> Server:
    return server("oracle:app", "asginl", "--http", "1", "--no-ws")


def has_bad_host(data: bytes) -> bool:
    """A request with a Host that is missing, repeated or none (RFC 9112, 3.2: MUST)."""
    for head in re.findall(rb"(?s)[^\r\n]+ HTTP/1\.[01](?=\r\n).*?\r\n\r\n", data):
        hosts = re.findall(rb"(?i)\r\nhost:[ \t]*(.*?)[ \t]*(?=\r\n)", head)
        is_old = b" HTTP/1.0\r" in head
        if len(hosts) != 1 and not (is_old and not hosts):
            return True
        if hosts and not re.fullmatch(rb"[\w.~!$&'()*+;=%-]*(:\d*)?", hosts[0]):
            return True
    return False


def difference(data: bytes, ours: Reading, theirs: Reading) -> dict[str, bytes] | None:
    """The reasons that this difference may have; None if there is none."""
    if ours == theirs:
        return None
    n = min(len(ours.messages), len(theirs.messages))
    assert ours.messages[:n] == theirs.messages[:n], f"read differently: {data!r}\n{ours}\n{theirs}"
    if ours.refused and len(ours.messages) == n:
        return STRICTER if len(theirs.messages) > n else STRICTER | LONGER
    if theirs.refused and len(theirs.messages) == n:
        return LAXER
    return LONGER if len(ours.messages) > n else SHORTER


@pytest.mark.parametrize("reader", [read_h11, read_llhttp])
def test_differences_have_reasons(probe, reader):
    files = list(corpus().values())
    inputs = [*files, *(damaged(n, files) for n in range(DAMAGED)), *(framed(n) for n in range(FRAMED))]
    mark = probe.mark()
    same, unexplained, used = 0, [], set()
    for at in range(0, len(inputs), BATCH):
        batch = inputs[at : at + BATCH]
        for data, ours in zip(batch, ask(probe, batch), strict=True):
            theirs = reader(data)
            reasons = difference(data, ours, theirs)
            if reasons is None:
                same += 1
                continue
            found = [name for name, sign in reasons.items() if re.search(sign, data)]
            used.update(found)
            if not found and not (ours.refused and has_bad_host(data)):
                unexplained.append(f"{data!r}\n  ours: {ours}\n  theirs: {theirs}")
    assert not unexplained, f"{len(unexplained)} differences\n" + "\n".join(unexplained[:20])
    assert same > len(inputs) * 3 / 4
    assert used, "the reasons are about this reader"
    probe.mark()  # all that was written has been read
    assert len(probe.lines(mark)) <= 1, "the peer's errors do not fill the log"
