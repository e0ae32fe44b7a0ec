"""`Config`: every option of the server, in the order of the constructor of `Granian`.

size: it is one table, with a row for each option.
"""
# ruff: noqa: RUF009 (`option` makes a field)

from __future__ import annotations

import dataclasses
import os
from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..constants import (
    ForwardedHeaders,
    HTTPModes,
    Interfaces,
    Loops,
    Overload,
    RuntimeModes,
    SSLProtocols,
    TaskImpl,
)
from ..http import HTTP1Settings, HTTP2Settings
from ..log import LogFormats, LogLevels
from ..resources import memory, whole_cpus, worker_count
from .checks import checked
from .fields import option, options
from .kinds import (
    Choice,
    Count,
    Dictionary,
    FilePath,
    Flag,
    Fraction,
    Number,
    Octal,
    Presence,
    ProxyAddress,
    Seconds,
    Text,
    UrlPath,
)

# Of numbers without a natural end.
MOST = 2**40


@dataclass(frozen=True)
class Config:
    """All options; made by `from_kwargs`, which converts and checks them.

    The order of the fields is that of the constructor's positional arguments. `granian.cli` has the order of the help.
    """

    # Addresses, the application, and processes.
    target: str
    address: str = option("127.0.0.1", "--host", Text(), "Address or name of the host to listen on")
    port: int = option(
        8000, "--port", Number(0, 65_535, is_hard=True), "Port to listen on, 0 for any", shared_env="PORT"
    )
    uds: Path | None = option(
        None, "--uds", FilePath(), "Unix socket to listen on in place of host and port, @NAME for an abstract one"
    )
    uds_permissions: int | None = option(
        None, "--uds-permissions", Octal(0), "Permissions of the Unix socket's file", default_text="by umask"
    )
    interface: Interfaces = option(
        Interfaces.AUTO, "--interface", Choice(Interfaces), "Interface of the application, auto to look at it"
    )
    workers: int = option(
        1,
        "--workers",
        Count(1, is_raised=True, suggested=worker_count),
        "Worker processes, auto for as many as there are CPUs to use",
        shared_env="WEB_CONCURRENCY",
    )
    blocking_threads: int | None = option(
        None,
        "--blocking-threads",
        Number(1, is_raised=True),
        "Threads that call a WSGI application, per worker",
        default_text="by interface",
    )
    blocking_threads_idle_timeout: float = option(
        30, "--blocking-threads-idle-timeout", Seconds(5, 600, is_hard=True), "Time that blocking threads stay idle"
    )
    runtime_threads: int = option(
        1, "--runtime-threads", Number(1, is_raised=True), "Threads of a worker's connections, with --runtime-mode mt"
    )
    runtime_blocking_threads: int | None = option(
        None,
        "--runtime-blocking-threads",
        Number(1, is_raised=True),
        "Without effect: all I/O happens on the event loop's thread",
        default_text="512",
    )
    runtime_mode: RuntimeModes = option(
        RuntimeModes.auto,
        "--runtime-mode",
        Choice(RuntimeModes),
        "Threads that connections live on: the event loop's (st), or their own (mt)",
    )
    loop: Loops | str = option(Loops.auto, "--loop", Choice(Loops, is_open=True), "Event loop")
    task_impl: TaskImpl = option(
        TaskImpl.asyncio, "--task-impl", Choice(TaskImpl), "Without effect: tasks are asyncio's own"
    )
    http: HTTPModes = option(HTTPModes.auto, "--http", Choice(HTTPModes), "Versions of HTTP")
    websockets: bool = option(True, "--ws", Flag(), "Handle websockets", env="WEBSOCKETS")
    backlog: int = option(1024, "--backlog", Number(128, is_raised=True), "Connections that wait in a listening socket")
    backpressure: int | None = option(
        None,
        "--backpressure",
        Number(1, is_raised=True),
        "Calls of the application at once in a worker",
        default_text="backlog/workers",
    )
    http1_settings: HTTP1Settings = dataclasses.field(default_factory=HTTP1Settings)
    http2_settings: HTTP2Settings = dataclasses.field(default_factory=HTTP2Settings)

    # Logs.
    log_enabled: bool = option(True, "--log", Flag(), "Log what the server does", env="LOG_ENABLED")
    log_level: LogLevels = option(LogLevels.info, "--log-level", Choice(LogLevels), "Level of the log")
    log_dictconfig: dict[str, Any] | None = option(
        None, "--log-config", Dictionary(), "Logging configuration (JSON, see logging.config.dictConfig)"
    )
    log_access: bool = option(False, "--access-log", Flag(), "Log requests", env="LOG_ACCESS_ENABLED")
    log_access_format: str | None = option(
        None, "--access-log-fmt", Text(), "Format of the lines of the access log", env="LOG_ACCESS_FMT"
    )

    # TLS.
    ssl_cert: Path | None = option(None, "--ssl-certificate", FilePath(Presence.FILE), "Certificate chain (PEM)")
    ssl_key: Path | None = option(None, "--ssl-keyfile", FilePath(Presence.FILE), "Private key (PEM)")
    ssl_key_password: str | None = option(
        None, "--ssl-keyfile-password", Text(), "Password of the private key", is_secret=True
    )
    ssl_protocol_min: SSLProtocols = option(
        SSLProtocols.tls13, "--ssl-protocol-min", Choice(SSLProtocols), "Oldest version of TLS"
    )
    ssl_ca: Path | None = option(
        None, "--ssl-ca", FilePath(Presence.FILE), "Authorities to verify clients' certificates with (PEM)"
    )
    ssl_crl: tuple[Path, ...] = options("--ssl-crl", FilePath(Presence.FILE), "Revoked certificates of clients (PEM)")
    ssl_client_verify: bool = option(False, "--ssl-client-verify", Flag(), "Require certificates of clients")
    url_path_prefix: str | None = option(
        None, "--url-path-prefix", UrlPath(), "Path that the application is mounted on"
    )

    # Workers.
    respawn_failed_workers: bool = option(True, "--respawn-failed-workers", Flag(), "Replace workers that have died")
    respawn_interval: float = option(
        3.5,
        "--respawn-interval",
        Fraction(),
        "Without effect: a worker is replaced once the new one is ready, after a crash at once",
    )
    rss_sample_interval: float = option(
        30, "--rss-sample-interval", Seconds(1, 300, least=0.1), "Interval between samples of the workers' memory"
    )
    rss_samples: int = option(
        1, "--rss-samples", Number(1, is_raised=True), "Samples in a row over the limit that replace a worker"
    )
    workers_lifetime: float | None = option(
        None, "--workers-lifetime", Seconds(60), "Replace workers after this time", default_text="disabled"
    )
    workers_max_rss: int | None = option(
        None,
        "--workers-max-rss",
        Number(1, unit="MiB"),
        "Replace workers that use more memory",
        default_text="disabled",
    )
    workers_kill_timeout: float | None = option(
        None,
        "--workers-kill-timeout",
        Seconds(1, 1800, least=0),
        "Kill workers that have not stopped after this time; without --drain-timeout they drain until a second before",
        default_text="a second after --drain-timeout",
    )
    factory: bool = option(False, "--factory", Flag(), "The target makes the application when called")
    working_dir: Path | None = option(
        None,
        "--working-dir",
        FilePath(Presence.DIRECTORY),
        "Directory to run the application in",
        default_text="the current one",
    )
    env_files: tuple[Path, ...] = options("--env-files", FilePath(Presence.FILE), "Environment files (granian[dotenv])")

    # Static files and metrics.
    static_path_route: tuple[str, ...] = options(
        "--static-path-route", Text(), "Routes of static files", default_text="/static"
    )
    static_path_mount: tuple[Path, ...] = options(
        "--static-path-mount", FilePath(Presence.DIRECTORY), "Directories of static files"
    )
    static_path_dir_to_file: str | None = option(
        None, "--static-path-dir-to-file", Text(), "File to serve for a directory"
    )
    static_path_expires: float = option(
        86_400, "--static-path-expires", Seconds(0), "Time that clients may keep static files, 0 to not tell"
    )
    metrics_enabled: bool = option(
        False, "--metrics", Flag(), "Open the status listener, with metrics", env="METRICS_ENABLED"
    )
    metrics_scrape_interval: float = option(
        15, "--metrics-scrape-interval", Seconds(1, 60, least=0.1), "Least time between looks at the memory of workers"
    )
    metrics_address: str = option("127.0.0.1", "--metrics-address", Text(), "Address of the status listener")
    metrics_port: int = option(
        9090, "--metrics-port", Number(0, 65_535, is_hard=True), "Port of the status listener, 0 for any"
    )

    # Reload.
    reload: bool = option(False, "--reload", Flag(), "Replace workers when files change (granian[reload])")
    reload_paths: tuple[Path, ...] = options(
        "--reload-paths", FilePath(Presence.EXISTING), "Paths to watch", default_text="Working directory"
    )
    reload_ignore_dirs: tuple[str, ...] = options("--reload-ignore-dirs", Text(), "Names of directories to ignore")
    reload_ignore_patterns: tuple[str, ...] = options(
        "--reload-ignore-patterns", Text(is_pattern=True), "Regular expressions of files to ignore"
    )
    reload_ignore_paths: tuple[Path, ...] = options("--reload-ignore-paths", FilePath(), "Paths to ignore")
    # A class; Python code only.
    reload_filter: Any = None
    reload_tick: int = option(
        50, "--reload-tick", Number(50, 5000, least=1, unit="ms"), "Time that the watcher gathers changes"
    )
    reload_ignore_worker_failure: bool = option(
        False, "--reload-ignore-worker-failure", Flag(), "Without effect: a failure never ends a reloading server"
    )

    process_name: str | None = option(None, "--process-name", Text(), "Title of the processes (granian[pname])")
    pid_file: Path | None = option(
        None, "--pid-file", FilePath(Presence.FILE_OR_NOTHING), "File to write the process id to"
    )

    # Not in the constructor of granian 2.
    _: KW_ONLY
    bind: tuple[str, ...] = options("--bind", Text(), "Addresses: HOST:PORT, unix:PATH, unix:@NAME, fd://N")
    fd: int | None = option(None, "--fd", Number(0), "Descriptor of a listening socket to serve on")
    ws_ping_interval: float = option(
        20, "--ws-ping-interval", Seconds(0), "Silence after which a websocket is pinged, 0 for never"
    )
    ws_ping_timeout: float = option(
        20, "--ws-ping-timeout", Seconds(0), "Time that a pinged websocket has to show life, 0 for any"
    )
    ws_max_size: int = option(
        16 * 1024 * 1024, "--ws-max-size", Number(1, unit="bytes"), "Largest websocket message, after decompression"
    )
    ws_queue_size: int = option(
        1024 * 1024, "--ws-queue-size", Number(1, unit="bytes"), "Websocket messages that wait for the application"
    )
    ws_deflate: bool = option(True, "--ws-deflate", Flag(), "Compress websocket messages if the client can")
    ws_idle_timeout: float = option(
        0, "--ws-idle-timeout", Seconds(0), "Time without messages after which a websocket is closed, 0 for any"
    )
    ws_close_timeout: float = option(
        10, "--ws-close-timeout", Seconds(0), "Time that a client has to answer the close of a websocket"
    )
    keep_alive_timeout: float = option(
        75, "--keep-alive-timeout", Seconds(0), "Time that an idle HTTP/1 connection is kept, 0 to keep none"
    )
    request_body_timeout: float = option(
        60, "--request-body-timeout", Seconds(0), "Time for the next piece of a request's body, 0 for any"
    )
    request_body_min_rate: int = option(
        0,
        "--request-body-min-rate",
        Number(0, MOST, is_hard=True, unit="bytes/s"),
        "Least rate of a request's body, 0 for any",
    )
    write_timeout: float = option(
        60, "--write-timeout", Seconds(0), "Time for a client to take some of its response, 0 for any"
    )
    request_timeout: float = option(
        0, "--request-timeout", Seconds(0), "Time from a request's head to the end of its response, 0 for any"
    )
    cancel_on_disconnect: bool = option(
        False, "--cancel-on-disconnect", Flag(), "Cancel the application's task when its client has gone"
    )
    max_headers: int = option(256, "--max-headers", Number(1, MOST, is_hard=True), "Header fields of a request")
    max_target_size: int = option(
        16_384, "--max-target-size", Number(1, MOST, is_hard=True, unit="bytes"), "Size of a request's target"
    )
    max_body_size: int | None = option(
        None,
        "--max-body-size",
        Number(1, MOST, is_hard=True, unit="bytes"),
        "Size of a request's body",
        default_text="disabled",
    )
    max_requests_per_connection: int | None = option(
        None,
        "--max-requests-per-connection",
        Number(1, MOST, is_hard=True),
        "Requests on one connection",
        default_text="disabled",
    )
    max_connections: int | None = option(
        None,
        "--max-connections",
        Number(1, MOST, is_hard=True),
        "Open connections of a worker",
        default_text="as many as descriptors",
    )
    max_connections_per_client: int | None = option(
        None,
        "--max-connections-per-client",
        Number(1, MOST, is_hard=True),
        "Open connections of one client's address in a worker",
        default_text="disabled",
    )
    max_queued_requests: int | None = option(
        None,
        "--max-queued-requests",
        Number(0, MOST, is_hard=True),
        "Requests that wait for --backpressure in a worker",
        default_text="disabled",
    )
    queue_timeout: float = option(0, "--queue-timeout", Seconds(0), "Time that a request waits there, 0 for any")
    overload: Overload = option(
        Overload.off, "--overload", Choice(Overload), "Turn requests away by the time that others have waited"
    )
    overload_target: float = option(
        0.005, "--overload-target", Seconds(0), "Time that a request waits in a standing queue", default_text="5ms"
    )
    overload_interval: float = option(
        0.1,
        "--overload-interval",
        Seconds(0),
        "Time that a request waits in another queue; after half of it that is a standing one",
        default_text="100ms",
    )
    drain_timeout: float | None = option(
        None,
        "--drain-timeout",
        Seconds(0),
        "Time for requests to end when a worker stops",
        default_text="30, with --reload 3, or what --workers-kill-timeout leaves",
    )
    shutdown_delay: float = option(
        0, "--shutdown-delay", Seconds(0), "Time to serve on, without being ready, before a stop begins"
    )
    metrics_routes: bool = option(
        False, "--metrics-routes", Flag(), "Count requests by the routes that the application names"
    )
    metrics_token: str | None = option(
        None,
        "--metrics-token",
        Text(),
        "What clients of the status listener have to know, but for health",
        is_secret=True,
        default_text="nothing",
    )
    health_path: str | None = option(
        None, "--health-path", UrlPath(), "Path on which each worker says whether it is ready", default_text="none"
    )
    health_loop_timeout: int | None = option(
        None,
        "--health-loop-timeout",
        Number(1, unit="ms"),
        "Unhealthy if an event loop has been stuck for so long (needs --metrics)",
        default_text="any time",
    )
    background_timeout: float = option(
        2, "--background-timeout", Seconds(0), "Time for background tasks to end once the last request has ended"
    )
    wsgi_spool_limit: int = option(
        2**30,
        "--wsgi-spool-limit",
        Number(2**20),
        "Largest body that is kept in a temporary file until a WSGI application is called (bytes)",
    )
    wsgi_spool_total: int | None = option(
        None,
        "--wsgi-spool-total",
        Number(2**20),
        "Most bytes of all such files of a worker together",
        default_text="four times --wsgi-spool-limit",
    )
    max_requests: int | None = option(
        None, "--max-requests", Number(1), "Replace workers after so many requests", default_text="disabled"
    )
    max_requests_jitter: int = option(0, "--max-requests-jitter", Number(0), "Random addition to --max-requests")
    workers_lifetime_jitter: float = option(
        0, "--workers-lifetime-jitter", Seconds(0), "Random addition to --workers-lifetime"
    )
    hang_timeout: float | None = option(
        None,
        "--hang-timeout",
        Seconds(1),
        "Replace workers whose event loop is stuck for this time",
        default_text="disabled",
    )
    preload: bool = option(False, "--preload", Flag(), "Load the application before workers start")
    ssl_protocol_max: SSLProtocols = option(
        SSLProtocols.tls13, "--ssl-protocol-max", Choice(SSLProtocols), "Newest version of TLS"
    )
    ssl_ciphers: tuple[str, ...] = options(
        "--ssl-ciphers", Text(), "Cipher suites, the preferred one first", default_text="all that are safe"
    )
    ssl_sni: tuple[str, ...] = options(
        "--ssl-sni", Text(), "Further certificates, for the host names in them: CERTIFICATE,KEY"
    )
    ssl_handshake_timeout: float = option(
        10, "--ssl-handshake-timeout", Seconds(1), "Time for clients to agree on a TLS session"
    )
    ssl_redirect_port: int | None = option(
        None,
        "--ssl-redirect-port",
        Number(0, 65_535, is_hard=True),
        "Plain port whose clients are sent to the secured one",
        default_text="disabled",
    )
    ssl_redirect_to_port: int | None = option(
        None,
        "--ssl-redirect-to-port",
        Number(1, 65_535, is_hard=True),
        "Secured port as clients see it",
        default_text="the one that is bound",
    )
    static_path_precompressed: bool = option(
        False, "--static-path-precompressed", Flag(), "Serve FILE.br, FILE.zst and FILE.gz to clients that take them"
    )
    static_path_fallback: str | None = option(
        None, "--static-path-fallback", Text(), "File to serve where a page is asked for that is no file"
    )
    static_path_follow_links: bool = option(
        False, "--static-path-follow-links", Flag(), "Symbolic links may lead out of the folders of static files"
    )
    static_path_fallthrough: bool = option(
        False, "--static-path-fallthrough", Flag(), "Leave paths without a static file to the application"
    )
    static_path_immutable: tuple[str, ...] = options(
        "--static-path-immutable", Text(is_pattern=True), "Regular expressions of static files that never change"
    )
    static_path_header: tuple[str, ...] = options(
        "--static-path-header", Text(has_spaces=True), "Headers of static files: [ROUTE] NAME: VALUE"
    )
    static_path_type: tuple[str, ...] = options(
        "--static-path-type", Text(), "Content types by the ending of a name: ENDING=TYPE"
    )
    sendfile_map: tuple[str, ...] = options(
        "--sendfile-map",
        Text(),
        "Folders of files that responses name by X-Sendfile or X-Accel-Redirect: PREFIX=FOLDER",
    )
    compress: bool = option(False, "--compress", Flag(), "Compress responses for clients that take it")
    forwarded_allow_ips: tuple[str, ...] = options(
        "--forwarded-allow-ips",
        ProxyAddress(),
        "Proxies that are believed: addresses, networks, unix, *",
        default_text="none",
        shared_env="FORWARDED_ALLOW_IPS",
        separator=",",
    )
    forwarded_headers: tuple[ForwardedHeaders, ...] = options(
        "--forwarded-headers", Choice(ForwardedHeaders), "Header fields of theirs that count", default_text="all"
    )
    proxy_protocol: bool = option(
        False, "--proxy-protocol", Flag(), "Their connections begin with a PROXY header, version 1 or 2"
    )
    log_format: LogFormats = option(LogFormats.text, "--log-format", Choice(LogFormats), "Form of both logs")
    access_log_file: Path | None = option(
        None, "--access-log-file", FilePath(), "File of the access log", default_text="the standard output"
    )
    access_log_exclude: tuple[str, ...] = options(
        "--access-log-exclude", Text(), "Paths without lines; one that ends in / stands for all below it"
    )
    access_log_sample: float = option(
        1, "--access-log-sample", Fraction(), "Part of the answers that get a line, from 0 to 1"
    )
    request_id_header: str | None = option(
        None,
        "--request-id-header",
        Text(),
        "Header that requests' names come in, are made for and are answered with",
        default_text="disabled",
    )
    slow_request: float | None = option(
        None,
        "--slow-request",
        Seconds(0),
        "Log requests that take longer, with what they wait for",
        default_text="disabled",
    )
    loop_lag: float | None = option(
        None,
        "--loop-lag",
        Seconds(0),
        "Log what blocks an event loop for longer",
        default_text="disabled",
    )
    # The secret from which all workers derive the keys of session tickets.
    ssl_ticket_seed: bytes = dataclasses.field(default_factory=partial(os.urandom, 32), repr=False, compare=False)

    @classmethod
    def from_kwargs(cls, *, target: str, **kwargs: Any) -> Config:
        """The config of these options: `None` is the default, a string does for a path or an enum's member.

        # Errors
        `ConfigurationError` with the option's name first; `TypeError` for an option that there is not.
        """
        return checked(cls, {"target": target, **kwargs})

    @property
    def backpressure_effective(self) -> int:
        """Requests at once in one worker."""
        return self.backpressure or max(1, self.backlog // self.workers)

    def backpressure_for(self, interface: Interfaces) -> int:
        """The same for an application of this interface.

        Threads have a line of their own, which nobody is turned away from. Against overload it stays empty.
        """
        threads = self.blocking_threads_for(interface)
        is_bounded = self.overload != Overload.off and threads > 1
        return min(self.backpressure_effective, threads) if is_bounded else self.backpressure_effective

    @property
    def blocking_threads_effective(self) -> int:
        """Threads of a worker that call the application; one while the interface is `auto`."""
        return self.blocking_threads_for(self.interface)

    def blocking_threads_for(self, interface: Interfaces) -> int:
        """Threads of a worker that call an application of this interface: one unless it is WSGI."""
        if interface != Interfaces.WSGI:
            return 1
        return self.blocking_threads or max(1, min(self.backpressure_effective // 2, many_threads(self.workers)))

    @property
    def drain_timeout_effective(self) -> float:
        """Seconds for requests to end; 3 with `reload`, where a developer waits for new code.

        With only `workers_kill_timeout` given, the drain ends a second before workers are killed.
        """
        if self.drain_timeout is not None:
            return self.drain_timeout
        if self.workers_kill_timeout is not None:
            rest = max(self.workers_kill_timeout - 1, 0)
            return min(rest, RELOAD_DRAIN_TIMEOUT) if self.reload else rest
        return RELOAD_DRAIN_TIMEOUT if self.reload else DRAIN_TIMEOUT

    @property
    def io_threads(self) -> int:
        """Threads of a worker's connections; 0 if they live on the event loop's."""
        return self.runtime_threads if self.runtime_mode == RuntimeModes.mt else 0

    @property
    def runtime_blocking_threads_effective(self) -> int:
        """The number that granian 2 would use; without effect."""
        return self.runtime_blocking_threads or 512

    @property
    def workers_rss(self) -> int | None:
        """The limit of a worker's memory in bytes."""
        return None if self.workers_max_rss is None else self.workers_max_rss * 1024 * 1024

    @property
    def ssl_ctx(self) -> tuple[Any, ...]:
        """The options of TLS as granian 2 has them in one tuple."""
        return (
            self.ssl_cert is not None,
            self.ssl_cert,
            self.ssl_key,
            self.ssl_key_password,
            str(self.ssl_protocol_min),
            self.ssl_ca,
            list(self.ssl_crl),
            self.ssl_client_verify,
        )


def many_threads(workers: int = 1) -> int:
    """The most threads of a worker that help each other more than they hinder, and for which there is memory."""
    many = max(32, 2 * whole_cpus() + 1)
    limit = memory()
    return many if limit is None else max(1, min(many, limit // (THREAD * workers)))


# Bytes of a thread that works, with its stack and a request.
THREAD = 4 << 20
DRAIN_TIMEOUT = 30.0
RELOAD_DRAIN_TIMEOUT = 3.0
