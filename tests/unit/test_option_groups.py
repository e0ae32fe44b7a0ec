"""The groups of options against the structs that the core reads them with: the same fields, under the same names."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from granian.config import TlsOptions, WorkerOptions
from granian.config.http import Http1Options, Http2Options
from granian.config.limits import LimitOptions
from granian.config.proxies import ProxyOptions
from granian.config.static_files import StaticFilesOptions
from granian.config.websocket import WebSocketOptions

OPTIONS = Path(__file__).parents[2] / "crates" / "core" / "src" / "options"
GROUPS = {
    WorkerOptions: ("mod.rs", "Options"),
    Http1Options: ("http.rs", "Http1"),
    Http2Options: ("http.rs", "Http2"),
    LimitOptions: ("limits.rs", "LimitOptions"),
    StaticFilesOptions: ("static_files.rs", "StaticFiles"),
    WebSocketOptions: ("websocket.rs", "WebSocket"),
    TlsOptions: ("tls.rs", "Tls"),
    ProxyOptions: ("proxies.rs", "Proxies"),
}


@pytest.mark.parametrize("group", GROUPS)
def test_both_sides_of_the_border_have_the_same_fields(group):
    file, name = GROUPS[group]
    body = re.search(rf"^pub\(\w+\) struct {name} \{{(.*?)^\}}", (OPTIONS / file).read_text(), re.M | re.S)
    assert body is not None
    fields = re.findall(r"^    (?:pub\(\w+\) )?(\w+):", body[1], re.M)
    assert sorted(fields) == sorted(field.name for field in dataclasses.fields(group))
