"""The command line: click options made from the fields of `Config`, and what a run ends with."""

from __future__ import annotations

import dataclasses
import gc
import json
import logging
import os
import sys
from typing import Any

import click

from ._granian import __version__
from .command import OPTIONS, Fault, ServerCommand, is_default, origin_of, take_file
from .config import Config
from .config.file import APP
from .config.remarks import given
from .config.sections import sections
from .errors import ConfigurationError, FatalError, PidFileError
from .explain import UNNAMED, explained
from .hints import unknown_variables
from .http import HTTP1Settings, HTTP2Settings
from .importer import patch_pypath
from .log import LogLevels, configure_logging, logger
from .parameters import Duration, EnumType, OctalIntType, _pretty_print_default, declare, option
from .server import Server


def entrypoint() -> None:
    """The entry point of the command `granian`."""
    try:
        cli()
    finally:
        # The interpreter collects garbage several times on its way out, and no deadline bounds that. Nothing that is
        # there now is garbage that matters: the end of the process takes a third of the time.
        gc.freeze()


@click.command(
    cls=ServerCommand,
    context_settings={"help_option_names": ["--help", "-h"]},
    help="APP  Application target to serve, as in module:attribute.  [required]",
)
@click.argument("app", required=False, metavar="APP")
@click.option(
    "--config",
    type=click.Path(),
    is_eager=True,
    expose_value=False,
    callback=take_file,
    envvar="GRANIAN_CONFIG",
    show_envvar=True,
    help="File of options (TOML)  [default: [tool.granian] of pyproject.toml in the working directory]",
)
@click.option("--check-config", is_flag=True, help="Check the options and end; imports nothing of the application")
@click.option(
    "--check-app", is_flag=True, help="Check the options, import the application, check its interface and end"
)
@click.option("--print-config", is_flag=True, help="Print each option with its value and its origin and end")
@click.version_option(__version__, prog_name="granian", message="%(prog)s %(version)s")
def cli(app: str | None, threads: int | None, opt: bool, ws_by_name: bool | None, **values: Any) -> None:
    """Serves APP until it is told to stop."""
    context = click.get_current_context()
    only = {name: values.pop(name) for name in ("check_config", "check_app", "print_config")}
    if app is None and (only["check_app"] or not any(only.values())):
        raise Fault("Missing argument 'APP': the application to serve, as in main:app (granian --help).")
    names = {name: origin_of(context, name) for name in OPTIONS}
    _forget_secrets()
    if threads is not None:
        values["runtime_threads"] = threads
    if ws_by_name is not None:
        values["websockets"] = ws_by_name
    is_ported = _take_port(context, values)
    values["http1_settings"] = HTTP1Settings(**_taken(values, "http1_"))
    values["http2_settings"] = HTTP2Settings(**_taken(values, "http2_"))
    # The logging configuration may name modules of the working directory.
    patch_pypath(values["working_dir"])
    try:
        if only["print_config"]:
            return _print(context, Config.from_kwargs(target=app or UNNAMED, **{**values, "log_enabled": False}))
        # Looked up at the call: plugins put a class of their own into this module.
        with given({name: names[name] for name in OPTIONS if not is_default(context, name)}):
            made = Server(app or UNNAMED, **values)
        made.option_names = names
        for line in unknown_variables(VARIABLES):
            logger.warning("%s", line)
        if any(only.values()):
            made.check_options(with_app=only["check_app"])
            return click.echo("The configuration is valid.")
        if is_ported:
            logger.info(PORTED, values["port"], values["address"])
        made.serve()
    except (ConfigurationError, PidFileError) as error:
        _complain(error, names)
        sys.exit(1)
    except FatalError:
        # The log has the error already.
        sys.exit(1)


def _print(context: click.Context, config: Config) -> None:
    def origin(name: str) -> str:
        given = APP if name == "target" else name
        if not is_default(context, given):
            return origin_of(context, given)
        return "by the limit of memory" if given in (context.default_map or {}) else "default"

    for line in explained(dataclasses.replace(config, log_enabled=context.params["log_enabled"]), origin):
        click.echo(line)


def _take_port(context: click.Context, values: dict[str, Any]) -> bool:
    """Whether the port is that of the variable `PORT`, while the address is that of this machine only.

    The variable may be meant for another program: beside addresses that are given it does not count.
    """
    if origin_of(context, "port") != "PORT":
        return False
    if values["bind"]:
        values["port"] = Config.port
    return not values["bind"] and values["uds"] is None and is_default(context, "address")


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
    for one in OPTIONS.values():
        if one.is_secret:
            os.environ.pop(one.environment, None)


def _taken(values: dict[str, Any], prefix: str) -> dict[str, Any]:
    names = [name for name in values if name.startswith(prefix)]
    return {name.removeprefix(prefix): values.pop(name) for name in names}


def _read_json(context: click.Context, parameter: click.Parameter, value: Any) -> dict[str, Any] | None:
    if value is None or isinstance(value, dict):
        return value
    reason = "it is no JSON object"
    try:
        read = json.loads(value.read_text())
    except (OSError, ValueError) as error:
        read, reason = None, error.strerror or str(error) if isinstance(error, OSError) else str(error)
    if not isinstance(read, dict):
        name = origin_of(context, "log_dictconfig")
        click.echo(f"Unable to parse provided logging config. ({name} {value}: {reason})")
        context.exit(1)
    return read


PORTED = "The port %d is that of the variable PORT; %s is for this machine only, --host 0.0.0.0 for all that reach it"
# Every variable that is an option.
VARIABLES = ["GRANIAN_CONFIG", *(one.environment for one in OPTIONS.values())]
cli.params[1:1] = [
    declare(name, one, default, _read_json) for section in sections() for name, one, default in section.options
]
# Options of older versions that guides and plugins still name. `--threads` means `--runtime-threads`, `--opt` has no
# effect, `--websockets`, which litestar-granian 0.14 gives, means `--ws`.
cli.params += [
    click.Option(["--threads"], type=int, hidden=True),
    click.Option(["--opt/--no-opt"], hidden=True),
    click.Option(["--websockets/--no-websockets", "ws_by_name"], default=None, hidden=True),
]

__all__ = ["Duration", "EnumType", "OctalIntType", "Server", "_pretty_print_default", "cli", "entrypoint", "option"]
