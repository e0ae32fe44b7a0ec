"""Hints for names that this server does not know: options of other servers, and variables and keywords with a slip."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator

from .near import did_you_mean, near


def hint_of(flag: str) -> str | None:
    """The name or the way that stands here for an option of uvicorn, gunicorn or hypercorn."""
    return FOREIGN.get(flag.replace("--no-", "--")) or FOREIGN.get(flag)


def hint_of_keyword(name: str, known: Iterable[str], keywords: dict[str, str]) -> str:
    """The hint for an unknown keyword of a constructor; `keywords` has those of all flags."""
    flag = f"--{name.replace('_', '-')}"
    if flag in keywords:
        return f" It is '{keywords[flag]}' in Python code."
    foreign = FOREIGN.get(flag)
    if foreign is None:
        return did_you_mean(name, known)
    words = [repr(keywords[word]) if word in keywords else word for word in foreign.split()]
    return f" Here it is {' '.join(words)}."


def unknown_variables(known: Collection[str]) -> Iterator[str]:
    """A line for each variable of the environment that looks like an option and is none."""
    names = {*known, *OTHERS}
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in names and not _OF_KUBERNETES.fullmatch(name):
            rest = name.removeprefix(PREFIX)
            hint = hint_of(f"--{rest.replace('_', '-').lower()}")
            # Without the prefix, which would make all of them near.
            nearest = near(rest, (item.removeprefix(PREFIX) for item in known))
            if hint is None and nearest is not None:
                hint = f"{PREFIX}{nearest}, perhaps"
            yield f"{name} is no option.{f' Here it is {hint}.' if hint else ''}"


PREFIX = "GRANIAN_"
# Variables that are no options: those of the server itself, and what builds of images set.
OTHERS = ("GRANIAN_DISABLE", "GRANIAN_VERSION", "GRANIAN_APP")
# Kubernetes tells containers the addresses of a service that is called granian.
_OF_KUBERNETES = re.compile(r"GRANIAN_(.*_)?SERVICE_.*|GRANIAN_PORT_\d+_.*")
IDLE = "--keep-alive-timeout"
FIELDS = "the application's response, whose fields are sent as they are"
FOREIGN = {
    # uvicorn
    "--app-dir": "--working-dir",
    "--env-file": "--env-files",
    "--h11-max-incomplete-event-size": "--http1-buffer-size",
    "--limit-concurrency": "--backpressure",
    "--limit-max-requests": "--max-requests",
    "--limit-max-requests-jitter": "--max-requests-jitter",
    "--proxy-headers": "--forwarded-allow-ips, with the addresses of the proxies",
    "--reload-delay": "--reload-tick, in milliseconds",
    "--reload-dir": "--reload-paths",
    "--reload-exclude": "--reload-ignore-patterns",
    "--reload-include": "all files of --reload-paths count",
    "--root-path": "--url-path-prefix",
    "--ssl-ca-certs": "--ssl-ca",
    "--ssl-cert-reqs": "--ssl-client-verify",
    "--ssl-certfile": "--ssl-certificate",
    "--ssl-version": "--ssl-protocol-min",
    "--lifespan": "--interface asginl for an application without",
    "--timeout-graceful-shutdown": "--drain-timeout",
    "--timeout-keep-alive": IDLE,
    "--date-header": FIELDS,
    "--header": FIELDS,
    "--http2": "--http, auto has it",
    "--server-header": FIELDS,
    "--use-colors": "terminals have them, unless NO_COLOR is set",
    "--timeout-worker-healthcheck": "--hang-timeout",
    "--ws-max-queue": "--ws-queue-size, in bytes",
    "--ws-per-message-deflate": "--ws-deflate",
    # gunicorn
    "-b": "--bind",
    "-c": "--config, a TOML file",
    "-e": "--env-files",
    "-k": "--interface, or --loop",
    "-n": "--process-name",
    "-p": "--pid-file, or --port",
    "-t": "--hang-timeout",
    "-w": "--workers",
    "-D": "a service manager such as systemd",
    "--access-logfile": "--access-log-file, with --access-log",
    "--access-logformat": "--access-log-fmt",
    "--asgi-lifespan": "--interface asginl for an application without",
    "--asgi-loop": "--loop",
    "--ca-certs": "--ssl-ca",
    "--capture-output": "--log-config",
    "--cert-reqs": "--ssl-client-verify",
    "--certfile": "--ssl-certificate",
    "--chdir": "--working-dir",
    "--ciphers": "--ssl-ciphers",
    "--daemon": "a service manager such as systemd",
    "--dogstatsd-tags": "--metrics",
    "--env": "--env-files",
    "--error-logfile": "--log-config",
    "--graceful-timeout": "--drain-timeout",
    "--keep-alive": IDLE,
    "--keyfile": "--ssl-keyfile",
    "--http-parser": "--http",
    "--http-protocols": "--http",
    "--http2-cleartext": "--http, auto has it",
    "--http2-initial-window-size": "--http2-initial-stream-window-size",
    "--http2-max-header-list-size": "--http2-max-headers-size",
    "--limit-request-field_size": "--http1-buffer-size",
    "--limit-request-fields": "--max-headers",
    "--limit-request-line": "--max-target-size",
    "--log-config-json": "--log-config",
    "--log-file": "--log-config",
    "--log-syslog": "--log-config",
    "--log-syslog-facility": "--log-config",
    "--log-syslog-prefix": "--log-config",
    "--log-syslog-to": "--log-config",
    "--logger-class": "--log-config",
    "--name": "--process-name",
    "--pid": "--pid-file",
    "--preload-app": "--preload",
    "--reload-extra-file": "--reload-paths",
    "--pythonpath": "--working-dir",
    "--proxy-allow-from": "--forwarded-allow-ips",
    "--forwarder-headers": "--forwarded-headers",
    "--statsd-host": "--metrics",
    "--statsd-prefix": "--metrics",
    "--timeout": "--hang-timeout",
    "--umask": "--uds-permissions",
    "--websocket-max-message-size": "--ws-max-size",
    "--worker-class": "--interface, or --loop",
    "--worker-connections": "--backpressure",
    # hypercorn
    "--debug": "--log-level debug",
    "--error-log": "--log-config",
    "--keyfile-password": "--ssl-keyfile-password",
    "--read-timeout": "--request-body-timeout",
    "--verify-mode": "--ssl-client-verify",
    "--insecure-bind": "--ssl-redirect-port",
    "--websocket-ping-interval": "--ws-ping-interval",
    "--worker-connection-limit": "--backpressure",
}
