"""`checked()`: keywords of `Granian` to a config, with conversions, and rules about several options."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from .. import _imports
from .._granian import check_tls
from ..access_log import check_file, template_of
from ..constants import Interfaces
from ..errors import ConfigurationError
from ..hints import hint_of_keyword
from ..log import LogFormats
from ..mechanisms import disabled
from .contradictions import contradictions
from .fields import options_of
from .protocols import converted_settings
from .remarks import remark
from .static_files import STATIC_FILE_CHECKS
from .tls import TlsOptions, absolute_pair

if TYPE_CHECKING:
    from .config import Config

# Options of static files that say nothing without a folder; those of granian 2 are taken all the same.
STATIC_FILE_OPTIONS = (
    *("static_path_precompressed", "static_path_fallback", "static_path_follow_links", "static_path_fallthrough"),
    *("static_path_immutable", "static_path_header", "static_path_type"),
)

# Headers that cannot be those of requests' names.
RESERVED_HEADERS = frozenset(
    {
        *("connection", "content-length", "content-type", "cookie", "date", "host", "keep-alive", "server"),
        *("set-cookie", "te", "tracestate", "trailer", "transfer-encoding", "upgrade"),
    }
)
# Seconds.
SHORTEST_WATCH = 0.05

AnyConfig = TypeVar("AnyConfig", bound="Config")


def checked(kind: type[AnyConfig], values: dict[str, Any]) -> AnyConfig:
    """The config of `values`.

    # Errors
    `ConfigurationError` with the option's name first; `TypeError` for an unknown option.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}
    if unknown := values.keys() - fields.keys():
        raise TypeError(" ".join(_no_option(name, kind) for name in sorted(unknown)))
    given = {name: value for name, value in values.items() if value is not None or name == "target"}
    config = kind(**{name: _convert(fields[name], value) for name, value in given.items()})
    for check in CHECKS:
        check(config)
    remark(config)
    return config


def _convert(field: dataclasses.Field[Any], value: Any) -> Any:
    option = field.metadata.get("option")
    try:
        if field.name.endswith("_settings"):
            return converted_settings(value)
        converted = value if option is None else option.convert(value)
        return tuple(map(absolute_pair, converted)) if field.name == "ssl_sni" else converted
    except ValueError as error:
        raise ConfigurationError(field.name, str(error)) from None


def _check_tls(config: Config) -> None:
    if (config.ssl_cert is None) != (config.ssl_key is None):
        missing = "ssl_key" if config.ssl_key is None else "ssl_cert"
        raise ConfigurationError(missing, "a certificate and its key are given together or not at all")
    for name in ("ssl_redirect_port", "ssl_redirect_to_port"):
        if config.ssl_cert is None and getattr(config, name) is not None:
            raise ConfigurationError(name, "there is no certificate (ssl_cert) to secure connections with")
    if config.ssl_ca is None and (config.ssl_client_verify or config.ssl_crl):
        option = "ssl_client_verify" if config.ssl_client_verify else "ssl_crl"
        raise ConfigurationError(option, "there are no authorities (ssl_ca) to verify certificates with")
    if config.ssl_protocol_min > config.ssl_protocol_max:
        raise ConfigurationError("ssl_protocol_max", f"older than ssl_protocol_min, {config.ssl_protocol_min}")
    if (tls := TlsOptions.from_config(config)) is not None:
        check_tls(tls)


def _check_proxies(config: Config) -> None:
    for name in ("forwarded_headers", "proxy_protocol"):
        if not config.forwarded_allow_ips and getattr(config, name):
            raise ConfigurationError(name, "there is no proxy (forwarded_allow_ips) to believe")


def _check_static_files(config: Config) -> None:
    routes, mounts = len(config.static_path_route), len(config.static_path_mount)
    if mounts and routes != mounts and (routes, mounts) != (0, 1):
        raise ConfigurationError("static_path", "Static path routes and mounts should have the same length")
    for name in STATIC_FILE_OPTIONS:
        if not mounts and getattr(config, name):
            raise ConfigurationError(name, "there is no folder (static_path_mount) to serve")
    for route in config.static_path_route:
        if not route.startswith("/") or {".", ".."} & set(route.split("/")):
            raise ConfigurationError("static_path_route", f"{route!r} is no path such as /static")
    for name in ("static_path_dir_to_file", "static_path_fallback"):
        value = getattr(config, name)
        if value is not None and (value.startswith("/") or ".." in value.split("/") or not value):
            raise ConfigurationError(name, f"{value!r} is no file below the folder")
    for name, check in STATIC_FILE_CHECKS.items():
        for text in getattr(config, name):
            try:
                check(text, config)
            except ValueError as error:
                raise ConfigurationError(name, str(error)) from None


def _check_health(config: Config) -> None:
    if config.health_path == "":
        raise ConfigurationError("health_path", "the root is the application's")
    if config.metrics_token == "":
        raise ConfigurationError("metrics_token", "an empty one keeps nobody away")
    if config.health_loop_timeout is not None and not config.metrics_enabled:
        raise ConfigurationError("health_loop_timeout", "there is no status listener (metrics_enabled) to say so")


def _check_threads(config: Config) -> None:
    is_threaded = config.interface in (Interfaces.WSGI, Interfaces.AUTO)
    if not is_threaded and (config.blocking_threads or 1) > 1:
        raise ConfigurationError("blocking_threads", "Blocking threads > 1 is not supported on ASGI and RSGI")


def _check_limits(config: Config) -> None:
    for reason in contradictions(config):
        raise ConfigurationError(*reason)


def _check_mechanisms(config: Config) -> None:
    disabled()


def _check_extras(config: Config) -> None:
    for name, module, extra, feature in (
        ("process_name", "setproctitle", "pname", "Setting process name"),
        ("env_files", "dotenv", "dotenv", "Environment file(s) usage"),
        ("reload", "watchfiles", "reload", "Using --reload"),
    ):
        if getattr(config, name) and getattr(_imports, module) is None:
            message = f"{feature} requires the granian[{extra}] extra: pip install 'granian[{extra}]'"
            raise ConfigurationError(name, message)


def _check_target(config: Config) -> None:
    if not isinstance(config.target, str) or not config.target:
        reason = "the application to serve is missing" if not config.target else "each worker imports the application"
        raise ConfigurationError("target", f"{reason}: give it as 'module:attribute'")


def _check_access_log(config: Config) -> None:
    if not 0 <= config.access_log_sample <= 1:
        raise ConfigurationError("access_log_sample", f"{config.access_log_sample} is not between 0 and 1")
    for path in config.access_log_exclude:
        if not path.startswith("/"):
            raise ConfigurationError("access_log_exclude", f"{path!r} is no path such as /healthz")
    if not config.log_access:
        return
    template = template_of(config.log_access_format, config.log_format == LogFormats.json)
    if config.access_log_file is not None:
        check_file(config.access_log_file, template)


def _check_request_ids(config: Config) -> None:
    name = config.request_id_header
    if name is not None and not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
        raise ConfigurationError("request_id_header", f"{name!r} is no name of a header")
    if name is not None and name.lower() in RESERVED_HEADERS:
        raise ConfigurationError("request_id_header", f"{name!r} has a meaning of its own")
    for option in ("slow_request", "loop_lag"):
        seconds = getattr(config, option)
        if seconds is not None and seconds < SHORTEST_WATCH:
            raise ConfigurationError(option, f"{seconds} s are less than {SHORTEST_WATCH}")


def _no_option(name: str, kind: type[Config]) -> str:
    known = [field.name for field in dataclasses.fields(kind) if field.init]
    keywords = {option.flag: keyword for keyword, option, _ in options_of(kind)}
    return f"There is no option {name!r}.{hint_of_keyword(name, known, keywords)}"


CHECKS: tuple[Callable[[Config], None], ...] = (
    _check_target,
    _check_tls,
    _check_proxies,
    _check_static_files,
    _check_threads,
    _check_health,
    _check_access_log,
    _check_request_ids,
    _check_extras,
    _check_limits,
    _check_mechanisms,
)
