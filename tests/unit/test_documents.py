"""The documents against the code: every option is named in one of them, and none names an option that there is not."""

from __future__ import annotations

import dataclasses
import importlib
import re
from pathlib import Path

import click
import pytest

from granian.cli import cli
from granian.config import Config, options_of, protocol_options
from granian.config.sections import UNPLACED, sections
from granian.hints import FOREIGN
from granian.http import HTTP1Settings, HTTP2Settings

ROOT = Path(__file__).parents[2]
FLAGS = sorted({option.flag for _, option, _ in [*options_of(Config), *protocol_options()]})
TEXTS = {path: path.read_text() for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]}
# A flag between backticks. `--ws-...` stands for several and names none.
NAMED = re.compile(r"`(--[a-z0-9-]*[a-z0-9])(?!\.\.\.)[ `=]")


# Code, in which nothing is a link or a heading.
FENCED = re.compile(r"^```.*?^```$", re.M | re.S)


# Options with a page of their own, beside their row on the page of settings.
PAGES = {"--http2-": "http2.md", "--ws-": "websockets.md", "--ssl-": "tls.md", "--static-": "static.md"}


@pytest.mark.parametrize("flag", FLAGS)
def test_every_option_is_in_a_document(flag):
    word = re.compile(rf"(?<![\w-]){re.escape(flag)}(?![\w-])")
    for page in ("settings.md", *(page for prefix, page in PAGES.items() if flag.startswith(prefix))):
        assert word.search(TEXTS[ROOT / "docs" / page]), f"docs/{page} does not name {flag}"


@pytest.mark.parametrize("name", ["signatures", "settings", "schema", "http1_cases"])
def test_what_is_written_from_tables_is_up_to_date(name, monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    tool = importlib.import_module(f"tools.{name}")
    there = tool.FILE.read_text()
    assert (tool.text(there) if name == "settings" else tool.text()) == there, "run `make generate`"


def test_the_settings_page_has_a_row_for_every_option():
    page = TEXTS[ROOT / "docs" / "settings.md"]
    for _, option, _ in [*options_of(Config), *protocol_options()]:
        row = next(
            line for line in page.splitlines() if line.startswith((f"| `{option.flag}` ", f"| `{option.flag} /"))
        )
        assert all(f"`{name}`" in row for name in (*option.variables, option.key))


def test_the_settings_page_names_every_parameter_of_the_command():
    page = TEXTS[ROOT / "docs" / "settings.md"]
    shown = [parameter for parameter in cli.params if isinstance(parameter, click.Option) and not parameter.hidden]
    assert [item.opts[0] for item in shown if f"`{item.opts[0]}" not in page] == []


def test_every_option_has_a_section():
    """`granian/config/sections.py` names it, or a prefix of it."""
    titles = {section.title: section.options for section in sections()}
    assert [name for name, _, _ in titles.get(UNPLACED, [])] == []
    assert sum(map(len, titles.values())) == len(FLAGS)


def test_the_settings_page_names_no_option_that_there_is_not():
    found = set(NAMED.findall(TEXTS[ROOT / "docs" / "settings.md"]))
    assert found
    assert not found - set(FLAGS) - {option for parameter in cli.params for option in parameter.opts} - {"--help"}


@pytest.mark.parametrize("name", ["uvicorn", "gunicorn", "hypercorn", "granian-2"])
def test_pages_for_those_who_come_from_elsewhere(name):
    """They name options that there are, and those that the hints name."""
    rows = [
        line.split("|")[1:] for line in TEXTS[ROOT / "docs" / "moving" / f"{name}.md"].splitlines() if "| `" in line
    ]
    flag = re.compile(r"--[a-z0-9_-]+[a-z0-9]")
    known = {*FLAGS, "--no-ws", "--check-config", "--print-config", "--config", "--threads"}
    if name == "granian-2":
        assert {found for row in rows for found in flag.findall("".join(row))} <= {
            *known,
            "--no-respawn-failed-workers",
            "--version",
        }
        return
    for theirs, ours, _ in (row[:3] for row in rows):
        found = {*flag.findall(ours)}
        assert found <= known, ours
        for one in flag.findall(theirs):
            hinted = {*flag.findall(FOREIGN.get(one, ""))}
            assert not hinted or hinted & found, one
            assert one in known or one in FOREIGN or not found, f"no hint for {one}"


def test_links_between_documents_lead_somewhere():
    """To a file, and to a heading of it if they name one."""
    broken = []
    others = [*(ROOT / "deploy").rglob("*.md"), *(ROOT / "benches").rglob("*.md"), *(ROOT / "tests").rglob("*.md")]
    texts = TEXTS | {path: path.read_text() for path in [*others, *ROOT.glob("*.md")]}
    for path, text in texts.items():
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)", FENCED.sub("", text)):
            name, _, anchor = target.partition("#")
            page = (path.parent / name).resolve() if name else path
            if not page.exists() or (anchor and anchor not in anchors(page.read_text())):
                broken.append(f"{path.relative_to(ROOT)}: {target}")
    assert not broken


def anchors(text):
    """Those that headings have, as GitHub and `make site` make them."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", text), re.M)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)|[`*]", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in plain}


def test_the_menu_of_the_site_has_every_document(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    site = importlib.import_module("tools.site")
    menu = "\n".join(site.nav((ROOT / site.INDEX).read_text()))
    index = {"docs/README.md", *(f"docs/decisions/{path.name}" for path in (ROOT / "docs" / "decisions").glob("0*.md"))}
    pages = {str(path.relative_to(ROOT)) for path in TEXTS} - index
    assert not [page for page in sorted(pages) if f"- {page}\n" not in menu + "\n"]
    assert {str(path) for path in site.files()} >= pages | index


def test_files_of_the_guide_to_extensions_exist():
    """Each first cell of docs/extending.md names files of today, but for those that it calls new."""
    rows = [line for line in TEXTS[ROOT / "docs" / "extending.md"].splitlines() if line.startswith("| `")]
    cells = [row.split(" | ")[0] for row in rows if "(new)" not in row.split(" | ")[0]]
    named = [path for cell in cells for path in re.findall(r"`([\w./]+/[\w./]*)`", cell)]
    assert len(named) > 30
    assert not [path for path in named if not (ROOT / path).exists()]


@pytest.mark.parametrize("settings", [HTTP1Settings, HTTP2Settings])
def test_help_explains_every_setting(settings):
    fields = {field.name for field in dataclasses.fields(settings)}
    assert fields == set(re.findall(r"^ *(\w+): .*\bdefault\b", settings.__doc__, re.M))


def test_the_stub_of_the_worker_explains_every_method():
    stub = (ROOT / "granian" / "_granian.pyi").read_text()
    worker = stub[stub.index("class Worker:") : stub.index("def check_tls")]
    methods = re.findall(r"def (\w+)", worker)
    assert len(methods) > 10
    assert methods == re.findall(r'def (\w+)\(.*?\) -> [^\n]+:\n +"""', worker, re.S)
