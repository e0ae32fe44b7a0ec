"""`granian.log`: configuration of logging, lines of the access log."""

import copy
import io
import json
import logging
import os
import re
import sys
import threading

import pytest
from e2e.server import bare

from granian import access_log, log
from granian.errors import ConfigurationError
from granian.formatters import name_worker
from granian.log import LogLevels, configure_logging, log_app_exception, log_request_builder
from granian.worker.logfiles import reopen_log_files


@pytest.fixture
def output(capsys):
    """What has been written to the standard output so far."""
    return Output(capsys)


class Output:
    def __init__(self, capsys):
        self._capsys = capsys
        self._text = ""

    def getvalue(self):
        self._text += bare(self._capsys.readouterr().out)
        return self._text


FACTS = {
    "addr": "1.2.3.4",
    "method": "GET",
    "path": "/a b",
    "query_string": "q=1",
    "scheme": "http",
    "protocol": "HTTP/1.0",
    "status": 200,
    "seconds": 0.0015,
    "body_bytes": 12,
    "headers": [(b"user-agent", b"curl/8"), (b"x-two", b"1"), (b"x-two", b"2"), (b"x-empty", b"")],
}


def line(output, fmt, **facts):
    """What is written about a request."""
    configure_logging(LogLevels.info)
    log_request_builder(fmt)(*{**FACTS, **facts}.values())
    return output.getvalue().removesuffix("\n")


def test_default_format(output):
    text = line(output, None)
    assert text.endswith('] 1.2.3.4 - "GET /a b HTTP/1.0" 200 1.500')
    assert text.startswith("[2")


@pytest.mark.parametrize(
    ("fmt", "text"),
    [
        ("%(addr)s", "1.2.3.4"),
        ("%(method)s %(path)s", "GET /a b"),
        ("%(query_string)s", "q=1"),
        ("%(scheme)s %(protocol)s", "http HTTP/1.0"),
        ("%(status)d %(status)s", "200 200"),
        ("%(dt_ms).1f", "1.5"),
        ("%(body_bytes)d", "12"),
        ("%(header{User-Agent})s", "curl/8"),
        ("%(header{x-two})s", "1, 2"),
        ("%(header{X-Empty})s|%(header{X-None})s", "-|-"),
        ("100%% %(status)s", "100% 200"),
        ("nothing", "nothing"),
    ],
)
def test_atoms(output, fmt, text):
    assert line(output, fmt) == text


def test_time_is_made_once_a_second(output, monkeypatch):
    monkeypatch.setattr(access_log.time, "time", lambda: 1_000_000_000.9)
    clock = access_log.Clock()
    assert clock.text() == clock.text()
    assert clock.text()[:4] == "2001"
    monkeypatch.setattr(access_log.time, "time", lambda: 1_100_000_000.0)
    assert clock.text()[:4] == "2004"


@pytest.mark.parametrize("fact", ["path", "query_string", "method", "addr"])
@pytest.mark.parametrize("character", ["\n", "\r", "\x1b", "\x7f", "\x85", "\u2028", "\u202e", "\ud800"])
def test_nobody_forges_a_line(output, fact, character):
    text = line(output, f"%({fact})s", **{fact: f"a{character}b"})
    assert text.isprintable()
    assert text.startswith("a\\")


@pytest.mark.parametrize("fact", ["path", "query_string", "method", "addr"])
@pytest.mark.parametrize(
    ("value", "text"), [('a" 500 x', '"a\\" 500 x" 200'), ("a\\", '"a\\\\" 200'), ("a\tb", '"a\\tb" 200')]
)
def test_nobody_forges_a_field(output, fact, value, text):
    """`GET /a%22%20500%20x` was a line with the status 500."""
    assert line(output, f'"%({fact})s" %(status)d', **{fact: value}) == text


def test_headers_forge_no_field_either(output):
    fmt = '"%(header{user-agent})s" %(status)d'
    assert line(output, fmt, headers=[(b"user-agent", b'x" 500 "y\\')]) == '"x\\" 500 \\"y\\\\" 200'


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
@pytest.mark.parametrize("configured", [False, True])
def test_lines_that_the_encoding_cannot_hold(monkeypatch, tmp_path, encoding, configured):
    """The line was lost, with a traceback in its place."""
    with (tmp_path / "log").open("w", encoding=encoding) as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        configure_logging(LogLevels.info, {"loggers": {"theirs": {}}} if configured else None)
        log_request_builder("%(path)s")(*{**FACTS, "path": "/é\ud800日"}.values())
        log.logger.error("é\ud800日")
        log_app_exception(ValueError("日"))
    text = bare((tmp_path / "log").read_text(encoding))
    value = "é\\ud800日".encode(encoding, "backslashreplace").decode(encoding)
    assert text.startswith(f"/{value}\n[ERROR] {value}\n[ERROR] Application callable")
    assert text.endswith("ValueError: 日\n".encode(encoding, "backslashreplace").decode(encoding))


def test_files_of_the_configuration_that_cannot_hold_a_line(tmp_path):
    handler = {"class": "logging.FileHandler", "filename": str(tmp_path / "log"), "encoding": "ascii"}
    configure_logging(LogLevels.info, {"handlers": {"console": {**handler, "formatter": "generic"}}})
    try:
        log.logger.error("日")
        reopen_log_files()
        log.logger.error("日")
        assert bare((tmp_path / "log").read_text()) == "[ERROR] \\u65e5\n" * 2
    finally:
        log.logger.handlers[0].close()
        configure_logging(LogLevels.info)


def test_nothing_commands_the_terminal(output):
    configure_logging(LogLevels.info)
    log_app_exception(ValueError("\x1b[2Jcleared\r\x9b1A\u202e"))
    assert output.getvalue().splitlines()[-1] == "ValueError: \\x1b[2Jcleared\\r\\x9b1A\\u202e"


def test_headers_forge_no_line_either(output):
    assert line(output, "%(header{x})s", headers=[(b"x", b"a\x85b")]) == "a\\x85b"


def test_letters_of_all_languages_stay(output):
    assert line(output, "%(path)s", path="/café/日本") == "/café/日本"


def test_peer_without_an_address(output):
    assert line(output, "%(addr)s", addr="") == "-"


@pytest.mark.parametrize(
    "fmt", ["%(nonsense)s", "%(addr)d", "%(header{x})d", "%(addr", "%(addr)", "%(header{})s", "%(header{x)s", "%d"]
)
def test_formats_that_cannot_be(fmt):
    with pytest.raises(ConfigurationError, match=r"^log_access_format: ") as caught:
        log_request_builder(fmt)
    assert "\n" not in str(caught.value)


def test_unknown_atoms_are_named():
    with pytest.raises(ConfigurationError, match=r"'nonsense'.*status.*header"):
        log_request_builder("%(nonsense)s")


def test_access_log_does_not_depend_on_the_log(output):
    configure_logging(LogLevels.critical, enabled=False)
    log_request_builder("%(status)d")(*FACTS.values())
    assert output.getvalue() == "200\n"


def test_access_log_that_is_turned_off(output):
    configure_logging(LogLevels.info, {"loggers": {"granian.access": {"level": "ERROR"}}})
    log_request_builder(None)(*FACTS.values())
    assert output.getvalue() == ""


@pytest.mark.parametrize("level", list(LogLevels))
def test_levels(output, level):
    configure_logging(level)
    assert log.logger.level == log.log_levels_map[level]
    configure_logging(level.value)
    assert log.logger.level == log.log_levels_map[level.value]


def test_disabled(output):
    configure_logging(LogLevels.info, enabled=False)
    log.logger.critical("hidden")
    assert output.getvalue() == ""


def test_lines_of_the_log(output):
    configure_logging(LogLevels.info)
    log.logger.info("said")
    logging.getLogger("_granian.serve").warning("from below")
    log.logger.debug("hidden")
    assert output.getvalue() == "[INFO] said\n[WARNING] from below\n"


def test_applications_exceptions(output):
    configure_logging(LogLevels.info)
    try:
        raise KeyError("why")
    except KeyError as error:
        log_app_exception(error)
    lines = output.getvalue().splitlines()
    assert lines[:2] == ["[ERROR] Application callable raised an exception", "Traceback (most recent call last):"]
    assert lines[-1] == "KeyError: 'why'"


def test_the_programs_own_handlers_stay_open(tmp_path):
    """`dictConfig` closes every handler of the process."""
    handler = logging.FileHandler(tmp_path / "own.log")
    listener = logging.getLogger("a.host.program")
    listener.addHandler(handler)
    try:
        configure_logging(LogLevels.info)
        assert handler.stream is not None and not handler.stream.closed
        listener.error("said")
        assert (tmp_path / "own.log").read_text() == "said\n"
    finally:
        listener.removeHandler(handler)
        handler.close()


def test_to_configure_twice_says_nothing_twice(output):
    configure_logging(LogLevels.debug, {"loggers": {"theirs": {"handlers": ["console"]}}})
    for _ in range(3):
        configure_logging(LogLevels.info)
    log.logger.info("said")
    log.logger.debug("hidden")
    assert output.getvalue() == "[INFO] said\n"


def test_changed_defaults_are_taken(output, monkeypatch):
    monkeypatch.setitem(log.LOGGING_CONFIG["formatters"]["generic"], "fmt", "%(message)s!")
    configure_logging(LogLevels.info)
    log.logger.info("said")
    assert output.getvalue() == "said!\n"


def test_applications_that_disable_loggers(output):
    """As a `dictConfig` without `disable_existing_loggers: False` does."""
    configure_logging(LogLevels.info)
    log.logger.disabled = log.access_logger.disabled = True
    log_app_exception(KeyError("why"))
    log_request_builder("%(status)d")(*FACTS.values())
    assert output.getvalue().splitlines()[0] == "[ERROR] Application callable raised an exception"
    assert output.getvalue().splitlines()[-1] == "200"
    configure_logging(LogLevels.info, enabled=False)
    log_app_exception(KeyError("hidden"))
    assert "hidden" not in output.getvalue()


def test_other_loggers_leave_ours_alone(output):
    given = {"loggers": {"theirs": {"level": "DEBUG", "handlers": ["console"]}}}
    before = copy.deepcopy(given)
    defaults = copy.deepcopy(log.LOGGING_CONFIG)
    configure_logging(LogLevels.info, given)
    log.logger.info("ours")
    logging.getLogger("theirs").debug("theirs")
    assert output.getvalue() == "[INFO] ours\n[DEBUG] theirs\n"
    assert given == before
    assert defaults == log.LOGGING_CONFIG


def test_parts_of_an_entry_are_merged(output):
    configure_logging(LogLevels.info, {"formatters": {"generic": {"fmt": "%(message)s!"}}})
    log.logger.info("said")
    assert output.getvalue() == "said!\n"


def test_whole_entries_are_replaced():
    stream = io.StringIO()
    configure_logging(
        LogLevels.info,
        {"handlers": {"console": {"class": "logging.StreamHandler", "stream": stream, "formatter": "generic"}}},
    )
    log.logger.info("said")
    assert bare(stream.getvalue()) == "[INFO] said\n"


def test_level_is_the_options():
    configure_logging(LogLevels.error, {"loggers": {"_granian": {"level": "DEBUG"}}})
    assert log.logger.level == logging.ERROR


@pytest.mark.parametrize(
    "given",
    [
        {"handlers": {"console": {"class": "no.such.Handler"}}},
        {"formatters": {"generic": {"()": "no.such.Formatter"}}},
        {"loggers": []},
        {"version": 2},
    ],
)
def test_configurations_that_cannot_be(given):
    with pytest.raises(ConfigurationError, match=r"^log_dictconfig: "):
        configure_logging(LogLevels.info, given)


def test_log_levels_are_strings():
    assert LogLevels("warn") is LogLevels.warn
    assert LogLevels.debug == "debug"
    assert log.log_levels_map["warn"] == logging.WARNING


def test_handlers_of_the_program_around_stay_open(tmp_path):
    handler = logging.FileHandler(tmp_path / "log", mode="w")
    logging.getLogger("somebody.else").addHandler(handler)
    try:
        configure_logging(LogLevels.info)
        logging.getLogger("somebody.else").warning("still there")
        assert (tmp_path / "log").read_text() == "still there\n"
    finally:
        logging.getLogger("somebody.else").removeHandler(handler)
        handler.close()


# Of granian 3.
MORE = {
    "request_bytes": 7,
    "ttfb_ms": 1.25,
    "wait_ms": 0.5,
    "tls": "TLSv1.3",
    "connection": "12-3",
    "request_id": None,
    "reason": "malformed chunk",
    "close_code": 1001,
    "worker": 2,
    "pid": 12,
    "response_headers": [(b"x-cache", b'hi"t')],
}


def test_atoms_of_records(output):
    configure_logging(LogLevels.info)
    fmt = (
        "%(request_bytes)d %(ttfb_ms).2f %(wait_ms).1f %(tls)s %(connection)s %(request_id)s %(reason)s %(close_code)s"
    )
    log_request_builder(fmt)(*FACTS.values(), MORE)
    log_request_builder("%(worker)d %(pid)d %(response_header{X-Cache})s")(*FACTS.values(), MORE)
    assert output.getvalue().splitlines() == ["7 1.25 0.5 TLSv1.3 12-3 - malformed chunk 1001", '2 12 hi\\"t']


def test_times_and_processes_of_lines(capsys):
    configure_logging(LogLevels.info)
    log.logger.info("said")
    text = capsys.readouterr().out
    assert re.fullmatch(rf"\[\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{{4}}\] \[{os.getpid()}\] \[INFO\] said\n", text)


def test_workers_of_lines(capsys):
    def say():
        name_worker(7, is_thread=True)
        log.logger.info("said")

    configure_logging(LogLevels.info)
    thread = threading.Thread(target=say)
    thread.start()
    thread.join()
    log.logger.info("said")
    first, second = capsys.readouterr().out.splitlines()
    assert f"[{os.getpid()} worker-7]" in first
    assert f"[{os.getpid()}]" in second


ODD = 'a"b\\\n\x1b\x00\u2028\ud800日'


def test_json(capsys):
    configure_logging(LogLevels.info, form="json")
    log.logger.warning("odd: %s", ODD, extra={"facts": {"age": 1.5}})
    try:
        raise KeyError(ODD)
    except KeyError as error:
        log_app_exception(error)
    log_request_builder("%(path)s %(header{x-two})s")(*FACTS.values(), MORE)
    said, raised, asked = map(json.loads, capsys.readouterr().out.splitlines())
    assert said["message"] == f"odd: {ODD}"
    assert (said["level"], said["logger"], said["process"], said["age"]) == ("warning", "_granian", os.getpid(), 1.5)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", said["time"])
    assert raised["message"] == "Application callable raised an exception"
    assert raised["exception"].startswith("Traceback")
    assert (asked["path"], asked["status"], asked["header{x-two}"]) == ("/a b", 200, "1, 2")


def test_json_with_a_dictionary(capsys):
    configure_logging(LogLevels.info, {"loggers": {"theirs": {"handlers": ["console"], "level": "INFO"}}}, form="json")
    log.logger.info("ours")
    logging.getLogger("theirs").info("theirs")
    configure_logging(LogLevels.info, {"formatters": {"generic": {"format": "%(message)s!"}}}, form="json")
    log.logger.info("own")
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["message"] for line in lines[:2]] == ["ours", "theirs"]
    assert lines[2] == "own!"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_colours(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")

    def said(stream):
        monkeypatch.setattr(sys, "stdout", stream)
        configure_logging(LogLevels.info)
        log.logger.warning("said [WARNING]")
        log.access_logger.info("200 [INFO]")
        return stream.getvalue()

    lines = said(Terminal()).splitlines()
    assert re.fullmatch(r"\x1b\[2m\[.*\]\x1b\[0m \x1b\[33m\[WARNING\]\x1b\[0m said \[WARNING\]", lines[0])
    assert lines[1] == "200 [INFO]"
    assert "\x1b" not in said(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in said(Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in said(Terminal())
