"""The command line: click options made from the fields of `Config`, and what a run ends with."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ._granian import __version__
from .config import Config, Option, kinds, options_of, protocol_options
from .config.kinds import Presence
from .errors import ConfigurationError, FatalError, PidFileError
from .hints import HintingCommand, unknown_variables
from .http import HTTP1Settings, HTTP2Settings
from .importer import patch_pypath
from .log import LogLevels, configure_logging, logger
from .server import Server

if TYPE_CHECKING:
    EnumChoice = click.Choice[str]
    IntParamType = click.ParamType[int]
else:
    EnumChoice, IntParamType = click.Choice, click.ParamType


class Duration(click.IntRange):
    """Seconds, or a text such as `1d2h3m4s`."""

    name = "duration"

    def __init__(self, min: int | None = None, max: int | None = None) -> None:
        super().__init__(min=min, max=max)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Whole seconds within the bounds."""
        if value is None:
            return None
        try:
            seconds = value if isinstance(value, int) else kinds.parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if self.min is not None and seconds < self.min:
            self.fail(f"{value!r} is less than the minimum allowed value of {self.min} seconds", param, ctx)
        if self.max is not None and seconds > self.max:
            self.fail(f"{value!r} is greater than the maximum allowed value of {self.max} seconds", param, ctx)
        return seconds


class OctalIntType(IntParamType):
    """Permissions of a file: octal with a 0 in front or in three digits, any other number is decimal."""

    name = "octal integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        if not isinstance(value, str):
            return value
        try:
            return int(value, 8 if value.startswith("0") or len(value) == THREE_DIGITS else 10)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class EnumType(EnumChoice):
    """A member of an enum, by its value, in any case unless `case_sensitive`."""

    def __init__(self, enum: type[Enum], case_sensitive: bool = False) -> None:
        self._enum = enum
        super().__init__([str(member.value) for member in enum], case_sensitive=case_sensitive)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The member."""
        if value is None or isinstance(value, self._enum):
            return value
        return self._enum(super().convert(value, param, ctx))


def option(*declarations: str, **attributes: Any) -> Callable[[Any], Any]:
    """`click.option` that shows its default and its environment name."""
    return click.option(*declarations, **{"show_envvar": True, "show_default": True, **attributes})


def _pretty_print_default(value: Any) -> Any:
    """The default as the help shows it; plugins make options of their own with it."""
    if isinstance(value, bool):
        return "enabled" if value else "disabled"
    return str(value.value) if isinstance(value, Enum) else value


def entrypoint() -> None:
    """The entry point of the command `granian`."""
    cli()


@click.command(cls=HintingCommand, help="APP  Application target to serve, as in module:attribute.  [required]")
@click.argument("app", required=True)
@click.version_option(__version__, prog_name="granian", message="%(prog)s %(version)s")
def cli(app: str, threads: int | None, opt: bool, **values: Any) -> None:
    """Serves APP until it is told to stop."""
    names = _names(click.get_current_context())
    _forget_secrets()
    if threads is not None:
        values["runtime_threads"] = threads
    values["http1_settings"] = HTTP1Settings(**_taken(values, "http1_"))
    values["http2_settings"] = HTTP2Settings(**_taken(values, "http2_"))
    # The logging configuration may name modules of the working directory.
    patch_pypath(values["working_dir"])
    try:
        # Looked up at the call: plugins put a class of their own into this module.
        made = Server(app, **values)
        made.option_names = names
        for line in unknown_variables([one.environment for _, one, _ in _all_options()]):
            logger.warning("%s", line)
        made.serve()
    except (ConfigurationError, PidFileError) as error:
        _complain(error, names)
        sys.exit(1)
    except FatalError:
        # The log has the error already.
        sys.exit(1)


def _complain(error: FatalError, names: dict[str, str]) -> None:
    """Logs an error in one line, if nothing has logged it yet; with `--no-log` too."""
    if error.is_logged and logger.isEnabledFor(logging.ERROR):
        return
    message = str(error)
    if isinstance(error, ConfigurationError):
        if error.message is None:
            return
        message = f"{names.get(error.option, error.option)}: {error.message}"
    if not logger.handlers or not logger.isEnabledFor(logging.ERROR):
        configure_logging(LogLevels.error)
    logger.error("%s", message)


def _forget_secrets() -> None:
    """Takes secrets out of the environment, which the application and what it starts would inherit."""
    for _, one, _ in options_of(Config):
        if one.is_secret:
            os.environ.pop(one.environment, None)


def _names(context: click.Context) -> dict[str, str]:
    """The name of each option as it was given, by its name in the constructor: the variable's, or else the flag."""

    def is_variable(name: str) -> bool:
        return context.get_parameter_source(name) is ParameterSource.ENVIRONMENT

    return {name: one.environment if is_variable(name) else one.flag for name, one, _ in options_of(Config)}


def _taken(values: dict[str, Any], prefix: str) -> dict[str, Any]:
    names = [name for name in values if name.startswith(prefix)]
    return {name.removeprefix(prefix): values.pop(name) for name in names}


def _read_json(context: click.Context, parameter: click.Parameter, value: Path | None) -> dict[str, Any] | None:
    if value is None:
        return None
    reason = "it is no JSON object"
    try:
        read = json.loads(value.read_text())
    except (OSError, ValueError) as error:
        read, reason = None, error.strerror or str(error) if isinstance(error, OSError) else str(error)
    if not isinstance(read, dict):
        click.echo(f"Unable to parse provided logging config. (--log-config {value}: {reason})")
        context.exit(1)
    return read


def _all_options() -> Iterator[tuple[str, Option, Any]]:
    """Name, option and default in the order of the help, those of the HTTP versions in the middle."""
    found = {name: (name, one, default) for name, one, default in options_of(Config)}
    names = list(found)
    for place, followers in FOLLOWERS.items():
        for name in followers.split():
            names.remove(name)
        names[names.index(place) + 1 : names.index(place) + 1] = followers.split()
    for name in names:
        yield found[name]
        if name == "backpressure":
            yield from protocol_options()


def _declare(name: str, one: Option, default: Any) -> click.Parameter:
    default_text: bool | str = one.default_text or True
    if isinstance(default, bool | Enum):
        default_text = _pretty_print_default(default)
    return click.Option(
        [one.flags, name],
        default=() if one.is_multiple else default,
        type=_type(one.kind),
        multiple=one.is_multiple,
        help=one.help,
        envvar=one.environment,
        show_envvar=True,
        show_default=default_text,
        callback=_read_json if isinstance(one.kind, kinds.Dictionary) else None,
    )


def _type(kind: kinds.Kind) -> Any:
    match kind:
        case kinds.Flag():
            return bool
        case kinds.Fraction():
            return float
        case kinds.Seconds():
            return Duration(kind.minimum, kind.maximum)
        case kinds.Octal():
            return OctalIntType()
        case kinds.Number():
            return click.IntRange(kind.minimum, kind.maximum)
        case kinds.Choice():
            return EnumType(kind.members)
        case kinds.FilePath():
            return _path_type(kind.presence)
        case kinds.Dictionary():
            return _path_type(Presence.FILE)
    return str


def _path_type(presence: Presence) -> click.Path:
    return click.Path(
        exists=presence not in (Presence.ANYTHING, Presence.FILE_OR_NOTHING),
        file_okay=presence is not Presence.DIRECTORY,
        dir_okay=presence not in (Presence.FILE, Presence.FILE_OR_NOTHING),
        path_type=Path,
    )


THREE_DIGITS = 3
# Options and those that come after them in the help, where that is not the order of the constructor.
FOLLOWERS = {
    "uds_permissions": "bind fd",
    "interface": "http websockets ws_ping_interval ws_ping_timeout ws_max_size ws_queue_size ws_deflate "
    "ws_idle_timeout ws_close_timeout",
    "ssl_protocol_min": "ssl_protocol_max ssl_ciphers",
    "ssl_client_verify": "ssl_sni ssl_handshake_timeout ssl_redirect_port ssl_redirect_to_port",
    "workers_lifetime": "workers_lifetime_jitter",
    "workers_kill_timeout": "drain_timeout max_requests max_requests_jitter hang_timeout",
    "factory": "preload",
    "static_path_expires": "static_path_precompressed static_path_fallback static_path_follow_links",
}
cli.params[1:1] = [_declare(name, one, default) for name, one, default in _all_options()]
# Options of older versions that guides still name. `--threads` means `--runtime-threads`, `--opt` has no effect.
cli.params += [click.Option(["--threads"], type=int, hidden=True), click.Option(["--opt/--no-opt"], hidden=True)]
