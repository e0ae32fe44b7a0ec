"""`ServerCommand`: the click command of the server: help in sections, the configuration file, origins of values."""

from __future__ import annotations

import os
from typing import Any

import click
from click.core import ParameterSource

from .config.file import ConfigFile, read_config
from .config.sections import sections
from .config.sizes import sizes
from .errors import ConfigurationError
from .hints import hint_of
from .near import did_you_mean


class Fault(click.ClickException):
    """A usage error in one line."""

    exit_code = 2


class ServerCommand(click.Command):
    """The help has a section for each subject; an error names the option as it was given."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The arguments that are left; raises `ClickException`."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise Fault(f"No such option: {error.option_name}{self._hint(ctx, error.option_name)}") from None
        except click.BadParameter as error:
            name = error.param.name if error.param is not None else None
            if name is None:
                raise
            raise Fault(f"{origin_of(ctx, name)}: {error.message}{_trap(ctx, name)}") from None
        except click.UsageError as error:
            raise Fault(error.format_message()) from None

    def _hint(self, ctx: click.Context, flag: str) -> str:
        foreign = hint_of(flag)
        if foreign is not None:
            return f" (here: {foreign})"
        shown = [name for item in self.get_params(ctx) if not getattr(item, "hidden", False) for name in item.opts]
        return "." + did_you_mean(flag, [name for name in shown if name.startswith("--")])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the examples, and the options below their headings."""
        with formatter.section("Examples"):
            formatter.write_dl(EXAMPLES)
        rows = {param.name: param.get_help_record(ctx) for param in self.get_params(ctx)}
        named = {section.title: [name for name, _, _ in section.options] for section in sections()}
        known = {name for names in named.values() for name in names}
        named["Others"] = [name for name in rows if name is not None and name not in known]
        for title, names in named.items():
            records = [record for name in names if (record := rows.get(name)) is not None]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def _trap(context: click.Context, name: str) -> str:
    """Kubernetes sets `GRANIAN_PORT` for a service that is called granian."""
    is_link = origin_of(context, name) == "GRANIAN_PORT" and os.environ["GRANIAN_PORT"].startswith("tcp://")
    return (
        " Kubernetes has set it for a service called granian; enableServiceLinks: false leaves it out."
        if is_link
        else ""
    )


def take_file(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """The callback of `--config`: what the file says takes the place of the defaults."""
    if context.resilient_parsing:
        return value
    try:
        file = read_config(value)
    except ConfigurationError as error:
        raise Fault(str(error.message)) from None
    context.meta[FILE] = file
    context.default_map = {**sizes(), **file.values}
    return value


def origin_of(context: click.Context, name: str) -> str:
    """The option as it was given: its flag, its variable, or the file with its key; its flag if it was not."""
    option = OPTIONS.get(name)
    match context.get_parameter_source(name):
        case ParameterSource.ENVIRONMENT if option is not None:
            return next((item for item in option.variables if os.environ.get(item)), option.environment)
        case ParameterSource.DEFAULT_MAP if name in file_of(context).values:
            return f"{file_of(context).name}: {option.key if option is not None else name}"
    return option.flag if option is not None else name.upper()


def is_default(context: click.Context, name: str) -> bool:
    """Whether nobody has given the option."""
    source = context.get_parameter_source(name)
    is_mapped = source is ParameterSource.DEFAULT_MAP and name in file_of(context).values
    return not is_mapped and source not in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


def file_of(context: click.Context) -> ConfigFile:
    """The configuration file, an empty one if there is none."""
    found: Any = context.meta.get(FILE)
    return found if isinstance(found, ConfigFile) else ConfigFile()


FILE = "granian.config.file"
OPTIONS = {name: option for section in sections() for name, option, _ in section.options}
EXAMPLES = [
    ("granian main:app", "main.py's app on http://127.0.0.1:8000"),
    ("granian --reload main:app", "with new workers when a file changes"),
    ("granian --host 0.0.0.0 --port 80 --workers 4 main:app", "for other machines, with four processes"),
    ("granian --factory main:create_app", "where a function makes the application"),
    ("granian --uds /run/app.sock main:app", "behind a proxy on the same machine"),
    ("granian --ssl-certificate chain.pem --ssl-keyfile key.pem main:app", "over TLS"),
    ("GRANIAN_LOG_LEVEL=debug granian main:app", "an option in the environment"),
]
