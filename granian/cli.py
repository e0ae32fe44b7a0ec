"""The command line: `click` options made from the fields of `Config`, and what a run ends with."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import click

from ._granian import __version__
from .config import Config, Option, options_of
from .config.protocols import HTTP1_OPTIONS, HTTP2_OPTIONS
from .errors import ConfigurationError, FatalError
from .http import HTTP1Settings, HTTP2Settings
from .log import logger


class Duration(click.IntRange):
    """Seconds, or a text such as `1d2h3m4s`."""

    name = "duration"
    _text = re.compile(r"^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$")

    def __init__(self, min: int | None = None, max: int | None = None) -> None:
        super().__init__(min=min, max=max)

    def _describe_range(self) -> str:
        return super()._describe_range().replace("x", "seconds")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Whole seconds, within the bounds."""
        if value is None:
            return None
        seconds = value if isinstance(value, int) else self._parse(str(value), param, ctx)
        if self.min is not None and seconds < self.min:
            self.fail(f"{value!r} is less than the minimum allowed value of {self.min} seconds", param, ctx)
        if self.max is not None and seconds > self.max:
            self.fail(f"{value!r} is greater than the maximum allowed value of {self.max} seconds", param, ctx)
        return seconds

    def _parse(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if value.isascii() and value.isdigit():
            return int(value)
        match = self._text.match(value)
        if match is None or not value:
            self.fail(f"{value!r} is not a valid duration", param, ctx)
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


class OctalIntType(click.ParamType):
    """File permissions: octal with a leading zero, or three octal digits; any other number is decimal."""

    name = "octal integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        if isinstance(value, int):
            return value
        octal = value.startswith("0") or re.fullmatch(r"[0-7]{3}", value)
        try:
            return int(value, 8 if octal else 10)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class EnumType(click.Choice):  # type: ignore[type-arg]
    """A member of an enum, by its value in any case."""

    def __init__(self, enum: type[Enum]) -> None:
        self._enum = enum
        super().__init__([str(member.value) for member in enum], case_sensitive=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The member."""
        if value is None or isinstance(value, self._enum):
            return value
        return self._enum(super().convert(value, param, ctx))


def option(*declarations: str, **attributes: Any) -> Callable[[Any], Any]:
    """`click.option` that shows its default and its environment name."""
    attributes.setdefault("show_envvar", True)
    attributes.setdefault("show_default", True)
    return click.option(*declarations, **attributes)


def entrypoint() -> None:
    """What the command `granian` runs."""
    cli()


@click.command(
    context_settings={"show_default": True},
    help="APP  Application target to serve, as in module:attribute.  [required]",
)
@click.argument("app", required=True)
@click.version_option(__version__, prog_name="granian", message="%(prog)s %(version)s")
def cli(app: str, **values: Any) -> None:
    """Serves APP until it is told to stop."""
    from .server import Server

    values.pop("opt", None)
    threads = values.pop("threads", None)
    if threads is not None and values.get("blocking_threads") is None:
        values["blocking_threads"] = threads if threads > 1 and str(values["interface"]) == "wsgi" else None
    options = {name: value for name, value in values.items() if not name.startswith(("http1_", "http2_"))}
    options = {name: value or None if isinstance(value, tuple) else value for name, value in options.items()}
    options["http1_settings"] = HTTP1Settings(**_group(values, "http1_"))
    options["http2_settings"] = HTTP2Settings(**_group(values, "http2_"))
    try:
        Server(app, **options).serve()
    except ConfigurationError as error:
        if error.message is not None:
            logger.error("%s", _named(error))
        sys.exit(1)
    except FatalError as error:
        if error.args and not getattr(error, "logged", False):
            logger.error("%s", error)
        sys.exit(1)


def _named(error: ConfigurationError) -> str:
    """The message with the option as the command line names it."""
    option = options_of(Config).get(error.option)
    return f"{option[0].flag if option else error.option}: {error.message}"


def _group(values: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}


def _json_file(context: click.Context, parameter: click.Parameter, value: Path | None) -> Any:
    if value is None:
        return None
    try:
        return json.loads(value.read_text())
    except (OSError, ValueError):
        click.echo("Unable to parse provided logging config.")
        context.exit(1)


def _all_options() -> Iterator[tuple[str, Option, Any]]:
    for name, (one, default) in options_of(Config).items():
        yield name, one, default
        if name == "backpressure":
            for prefix, group, settings in (
                ("http1", HTTP1_OPTIONS, HTTP1Settings()),
                ("http2", HTTP2_OPTIONS, HTTP2Settings()),
            ):
                for field, one_more in group.items():
                    yield f"{prefix}_{field}", one_more, getattr(settings, field)


def _declare(name: str, one: Option, default: Any) -> click.Parameter:
    flags = [one.flag, name]
    if one.kind == "flag":
        flags[0] = f"{one.flag}/--no-{one.flag.removeprefix('--')}"
    default_text: Any = one.show_default or True
    if one.kind == "flag":
        default_text = "enabled" if default else "disabled"
    elif isinstance(default, Enum):
        default_text = str(default.value)
    environment = one.env or one.flag.removeprefix("--").replace("-", "_").upper()
    if one.kind == "flag" and one.env is None and one.flag == "--log":
        environment = "LOG_ENABLED"
    return click.Option(
        flags,
        default=() if one.multiple else default,
        type=_type(one),
        multiple=one.multiple,
        help=one.help,
        hidden=one.hidden,
        envvar=f"GRANIAN_{environment}",
        show_envvar=True,
        show_default=default_text,
        callback=_json_file if one.kind == "json" else None,
    )


def _type(one: Option) -> Any:
    kinds: dict[str, Callable[[], Any]] = {
        "text": lambda: str,
        "float": lambda: float,
        "flag": lambda: bool,
        "octal": OctalIntType,
        "int": lambda: click.IntRange(one.minimum, one.maximum),
        "duration": lambda: Duration(one.minimum, one.maximum),
        "choice": lambda: EnumType(one.choices),
        "path": lambda: click.Path(exists=False, path_type=Path),
        "file": lambda: click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
        "json": lambda: click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
        "directory": lambda: click.Path(exists=True, file_okay=False, path_type=Path),
        "existing": lambda: click.Path(exists=True, path_type=Path),
    }
    return kinds[one.kind]()


cli.params[1:1] = [_declare(name, one, default) for name, one, default in _all_options()]
cli.params += [
    click.Option(["--threads"], type=int, hidden=True, default=None),
    click.Option(["--opt/--no-opt"], hidden=True, default=False),
]
