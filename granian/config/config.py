"""`Config`: every option of the server, in the order of the constructor of `Granian`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..constants import HTTPModes, Interfaces, Loops, RuntimeModes, SSLProtocols, TaskImpl
from ..http import HTTP1Settings, HTTP2Settings
from ..log import LogLevels
from .fields import keyword, option


@dataclass(frozen=True)
class Config:
    """Options by keyword; `from_kwargs` converts and checks them."""

    target: str
    address: str = option("127.0.0.1", "--host", "text", "Host address to bind to", env="HOST")
    port: int = option(8000, "--port", "int", "Port to bind to", minimum=0, maximum=65_535)
    uds: Path | None = option(None, "--uds", "path", "Unix Domain Socket to bind to")
    uds_permissions: int | None = option(
        None, "--uds-permissions", "octal", "Unix Domain Socket file permissions"
    )
    interface: Interfaces = option(
        Interfaces.AUTO, "--interface", "choice", "Application interface type", choices=Interfaces
    )
    workers: int = option(1, "--workers", "int", "Number of worker processes", minimum=1)
    blocking_threads: int | None = option(
        None, "--blocking-threads", "int", "Number of blocking threads (per worker)", minimum=1
    )
    blocking_threads_idle_timeout: int = option(
        30,
        "--blocking-threads-idle-timeout",
        "duration",
        "Maximum amount of time in seconds (or a human-readable duration) an idle blocking thread will be "
        "kept alive",
        minimum=5,
        maximum=600,
    )
    runtime_threads: int = option(
        1, "--runtime-threads", "int", "Number of runtime I/O threads (per worker)", minimum=1
    )
    runtime_blocking_threads: int | None = option(
        None,
        "--runtime-blocking-threads",
        "int",
        "Number of runtime I/O blocking threads (per worker)",
        minimum=1,
    )
    runtime_mode: RuntimeModes = option(
        RuntimeModes.auto, "--runtime-mode", "choice", "Where the I/O happens", choices=RuntimeModes
    )
    loop: Loops = option(Loops.auto, "--loop", "choice", "Event loop implementation", choices=Loops)
    task_impl: TaskImpl = option(
        TaskImpl.asyncio, "--task-impl", "choice", "Kept for compatibility", choices=TaskImpl
    )
    http: HTTPModes = option(HTTPModes.auto, "--http", "choice", "HTTP version", choices=HTTPModes)
    websockets: bool = option(True, "--ws", "flag", "Enable websockets handling", env="WEBSOCKETS")
    backlog: int = option(1024, "--backlog", "int", "Maximum number of connections to hold in backlog", minimum=128)
    backpressure: int | None = option(
        None,
        "--backpressure",
        "int",
        "Maximum number of requests to process concurrently (per worker)",
        minimum=1,
        show_default="backlog/workers",
    )
    http1_settings: HTTP1Settings = dataclasses.field(default_factory=HTTP1Settings)
    http2_settings: HTTP2Settings = dataclasses.field(default_factory=HTTP2Settings)
    log_enabled: bool = option(True, "--log", "flag", "Enable logging")
    log_level: LogLevels = option(LogLevels.info, "--log-level", "choice", "Log level", choices=LogLevels)
    log_dictconfig: dict[str, Any] | None = option(
        None, "--log-config", "json", "Logging configuration file (json)", env="LOG_CONFIG"
    )
    log_access: bool = option(False, "--access-log", "flag", "Enable access log", env="LOG_ACCESS_ENABLED")
    log_access_format: str | None = option(
        None, "--access-log-fmt", "text", "Access log format", env="LOG_ACCESS_FMT"
    )
    ssl_cert: Path | None = option(
        None, "--ssl-certificate", "file", "SSL certificate file", env="SSL_CERTIFICATE"
    )
    ssl_key: Path | None = option(None, "--ssl-keyfile", "file", "SSL key file", env="SSL_KEYFILE")
    ssl_key_password: str | None = option(
        None, "--ssl-keyfile-password", "text", "SSL key password", env="SSL_KEYFILE_PASSWORD"
    )
    ssl_protocol_min: SSLProtocols = option(
        SSLProtocols.tls13, "--ssl-protocol-min", "choice", "Set the minimum supported protocol for SSL connections.",
        choices=SSLProtocols,
    )
    ssl_ca: Path | None = option(None, "--ssl-ca", "file", "Root SSL cerificate file for client verification")
    ssl_crl: tuple[Path, ...] | None = option(None, "--ssl-crl", "file", "SSL CRL file(s)", multiple=True)
    ssl_client_verify: bool = option(
        False, "--ssl-client-verify", "flag", "Verify clients SSL certificates"
    )
    url_path_prefix: str | None = option(None, "--url-path-prefix", "text", "URL path prefix the app is mounted on")
    respawn_failed_workers: bool = option(
        True, "--respawn-failed-workers", "flag", "Enable workers respawn on unexpected exit"
    )
    respawn_interval: float = option(
        3.5, "--respawn-interval", "float", "Kept for compatibility: a worker is replaced when the new one is ready"
    )
    rss_sample_interval: int = option(
        30, "--rss-sample-interval", "duration", "The sample rate for the resource monitor", minimum=1, maximum=300
    )
    rss_samples: int = option(
        1, "--rss-samples", "int", "How many samples over the limit replace a worker", minimum=1
    )
    workers_lifetime: int | None = option(
        None, "--workers-lifetime", "duration", "The maximum amount of time a worker will be kept alive before respawn",
        minimum=60,
    )
    workers_max_rss: int | None = option(
        None, "--workers-max-rss", "int", "The maximum amount of memory (in MiB) a worker can consume before respawn",
        minimum=1,
    )
    workers_kill_timeout: int | None = option(
        None, "--workers-kill-timeout", "duration", "The amount of time to wait for killing workers that refused to "
        "gracefully stop", minimum=1, maximum=1800, show_default="disabled",
    )
    factory: bool = option(False, "--factory", "flag", "Treat target as a factory function")
    working_dir: Path | None = option(None, "--working-dir", "directory", "Set the working directory")
    env_files: tuple[Path, ...] | None = option(None, "--env-files", "file", "Environment file(s) to load", multiple=True)
    static_path_route: tuple[str, ...] | None = option(
        None, "--static-path-route", "text", "Route(s) for static file serving", multiple=True, show_default="/static"
    )
    static_path_mount: tuple[Path, ...] | None = option(
        None, "--static-path-mount", "directory", "Path(s) to mount for static file serving", multiple=True
    )
    static_path_dir_to_file: str | None = option(
        None, "--static-path-dir-to-file", "text", "Serve the specified file for directory listings"
    )
    static_path_expires: int = option(
        86_400, "--static-path-expires", "duration", "Cache headers expiration for static files", minimum=0
    )
    metrics_enabled: bool = option(False, "--metrics", "flag", "Enable metrics exporter", env="METRICS_ENABLED")
    metrics_scrape_interval: int = option(
        15, "--metrics-scrape-interval", "duration", "Configure the metrics collection interval", minimum=1, maximum=60
    )
    metrics_address: str = option("127.0.0.1", "--metrics-address", "text", "Metrics exporter host address")
    metrics_port: int = option(9090, "--metrics-port", "int", "Metrics exporter port", minimum=0, maximum=65_535)
    reload: bool = option(False, "--reload", "flag", "Enable auto reload on application's files changes "
                          "(requires granian[reload] extra)")
    reload_paths: tuple[Path, ...] | None = option(
        None, "--reload-paths", "existing", "Paths to watch for changes", multiple=True, show_default="Working directory"
    )
    reload_ignore_dirs: tuple[str, ...] | None = option(
        None, "--reload-ignore-dirs", "text", "Names of directories to ignore changes for", multiple=True
    )
    reload_ignore_patterns: tuple[str, ...] | None = option(
        None, "--reload-ignore-patterns", "text", "File/path patterns (regex) to ignore changes for", multiple=True
    )
    reload_ignore_paths: tuple[Path, ...] | None = option(
        None, "--reload-ignore-paths", "path", "Absolute paths to ignore changes for", multiple=True
    )
    reload_filter: Any = keyword()
    reload_tick: int = option(50, "--reload-tick", "int", "The tick frequency (in milliseconds) the reloader watch for "
                              "changes", minimum=50, maximum=5000)
    reload_ignore_worker_failure: bool = option(
        False, "--reload-ignore-worker-failure", "flag", "Kept for compatibility: failures never end reloading"
    )
    process_name: str | None = option(None, "--process-name", "text", "Set a custom name for processes "
                                      "(requires granian[pname] extra)")
    pid_file: Path | None = option(None, "--pid-file", "path", "A path to write the PID file to")
    bind: tuple[str, ...] | None = option(
        None, "--bind", "text", "Further addresses: HOST:PORT, unix:PATH, unix:@NAME, fd://N", multiple=True
    )
    fd: int | None = option(None, "--fd", "int", "A listening socket's descriptor to serve on", minimum=0)
    drain_timeout: int | None = option(
        None, "--drain-timeout", "duration", "How long a stopping worker waits for requests in flight", minimum=0,
        show_default="30, 3 with --reload",
    )
    max_requests: int | None = option(None, "--max-requests", "int", "Replace a worker after so many requests", minimum=1)
    max_requests_jitter: int = option(0, "--max-requests-jitter", "int", "Random addition to --max-requests", minimum=0)
    workers_lifetime_jitter: int = option(
        0, "--workers-lifetime-jitter", "duration", "Random addition to --workers-lifetime", minimum=0
    )
    hang_timeout: int | None = option(
        None, "--hang-timeout", "duration", "Replace a worker whose event loop is stuck for so long", minimum=1
    )
    preload: bool = option(False, "--preload", "flag", "Load the application before workers are forked")

    @classmethod
    def from_kwargs(cls, *, target: str, **kwargs: Any) -> Config:
        """A checked config; `ConfigurationError` names the option that is wrong."""
        from .checks import checked

        return checked(cls, target, kwargs)

    @property
    def backpressure_per_worker(self) -> int:
        """Requests at once in one worker."""
        return max(1, self.backpressure or self.backlog // self.workers)

    @property
    def workers_rss(self) -> int | None:
        """The limit of a worker's resident memory in bytes."""
        return self.workers_max_rss * 1024 * 1024 if self.workers_max_rss else None

    def blocking_threads_for(self, interface: Interfaces) -> int:
        """Threads that call the application: one unless it speaks WSGI."""
        if interface != Interfaces.WSGI:
            return 1
        return self.blocking_threads or max(1, self.backpressure_per_worker // 2)

    @property
    def ssl_ctx(self) -> tuple[Any, ...]:
        """TLS as older code reads it: enabled, files, password, version, authorities, verification."""
        crls = [str(path) for path in self.ssl_crl or ()]
        return (
            self.ssl_cert is not None,
            self.ssl_cert,
            self.ssl_key,
            self.ssl_key_password,
            str(self.ssl_protocol_min),
            self.ssl_ca,
            crls,
            self.ssl_client_verify,
        )
