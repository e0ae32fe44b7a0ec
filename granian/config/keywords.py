"""`Keywords`, `EmbeddedKeywords`: the types of what `Granian(...)` and `embed.Server(...)` take by name.

Written by `python -m tools.signatures` from the table in `config.py`.
size: it is one table, with a row for each option.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

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


class EmbeddedKeywords(TypedDict, total=False):
    """The options of an embedded server."""

    address: str | None
    """Address or name of the host to listen on (default 127.0.0.1). `--host`"""
    port: int | None
    """Port to listen on, 0 for any (0 to 65,535; default 8000). `--port`"""
    uds: Path | str | None
    """Unix socket to listen on in place of host and port, @NAME for an abstract one. `--uds`"""
    uds_permissions: int | None
    """Permissions of the Unix socket's file (from 0; default by umask). `--uds-permissions`"""
    interface: Interfaces | str | None
    """Interface of the application, auto to look at it (default auto). `--interface`"""
    blocking_threads: int | None
    """Threads that call a WSGI application, per worker (from 1; default by interface). `--blocking-threads`"""
    blocking_threads_idle_timeout: float | str | None
    """Time that blocking threads stay idle (seconds, or a text such as `1m30s`; 5 to 600; default 30).
    `--blocking-threads-idle-timeout`
    """
    runtime_threads: int | None
    """Threads of a worker's connections, with --runtime-mode mt (from 1; default 1). `--runtime-threads`"""
    runtime_blocking_threads: int | None
    """Without effect: all I/O happens on the event loop's thread (from 1; default 512). `--runtime-blocking-
    threads`
    """
    runtime_mode: RuntimeModes | str | None
    """Threads that connections live on: the event loop's (st), or their own (mt) (default auto). `--runtime-mode`"""
    task_impl: TaskImpl | str | None
    """Without effect: tasks are asyncio's own (default asyncio). `--task-impl`"""
    http: HTTPModes | str | None
    """Versions of HTTP (default auto). `--http`"""
    websockets: bool | None
    """Handle websockets (default True). `--ws`"""
    backlog: int | None
    """Connections that wait in a listening socket (from 128; default 1024). `--backlog`"""
    backpressure: int | None
    """Calls of the application at once in a worker (from 1; default backlog/workers). `--backpressure`"""
    http1_settings: HTTP1Settings | None
    """Settings of HTTP/1."""
    http2_settings: HTTP2Settings | None
    """Settings of HTTP/2."""
    log_enabled: bool | None
    """Log what the server does (default True). `--log`"""
    log_level: LogLevels | str | None
    """Level of the log (default info). `--log-level`"""
    log_dictconfig: Mapping[str, Any] | None
    """Logging configuration (JSON, see logging.config.dictConfig). `--log-config`"""
    log_access: bool | None
    """Log requests (default False). `--access-log`"""
    log_access_format: str | None
    """Format of the lines of the access log. `--access-log-fmt`"""
    ssl_cert: Path | str | None
    """Certificate chain (PEM). `--ssl-certificate`"""
    ssl_key: Path | str | None
    """Private key (PEM). `--ssl-keyfile`"""
    ssl_key_password: str | None
    """Password of the private key. `--ssl-keyfile-password`"""
    ssl_protocol_min: SSLProtocols | str | None
    """Oldest version of TLS (default tls1.3). `--ssl-protocol-min`"""
    ssl_ca: Path | str | None
    """Authorities to verify clients' certificates with (PEM). `--ssl-ca`"""
    ssl_crl: Sequence[Path | str] | Path | str | None
    """Revoked certificates of clients (PEM). `--ssl-crl`"""
    ssl_client_verify: bool | None
    """Require certificates of clients (default False). `--ssl-client-verify`"""
    url_path_prefix: str | None
    """Path that the application is mounted on. `--url-path-prefix`"""
    factory: bool | None
    """The target makes the application when called."""
    static_path_route: Sequence[str] | str | None
    """Routes of static files (default /static). `--static-path-route`"""
    static_path_mount: Sequence[Path | str] | Path | str | None
    """Directories of static files. `--static-path-mount`"""
    static_path_dir_to_file: str | None
    """File to serve for a directory. `--static-path-dir-to-file`"""
    static_path_expires: float | str | None
    """Time that clients may keep static files, 0 to not tell (seconds, or a text such as `1m30s`; from 0; default
    86400). `--static-path-expires`
    """
    metrics_enabled: bool | None
    """Open the status listener, with metrics (default False). `--metrics`"""
    metrics_scrape_interval: float | str | None
    """Least time between looks at the memory of workers (seconds, or a text such as `1m30s`; 1 to 60; default 15).
    `--metrics-scrape-interval`
    """
    metrics_address: str | None
    """Address of the status listener (default 127.0.0.1). `--metrics-address`"""
    metrics_port: int | None
    """Port of the status listener, 0 for any (0 to 65,535; default 9090). `--metrics-port`"""
    bind: Sequence[str] | str | None
    """Addresses: HOST:PORT, unix:PATH, unix:@NAME, fd://N. `--bind`"""
    fd: int | None
    """Descriptor of a listening socket to serve on (from 0). `--fd`"""
    ws_ping_interval: float | str | None
    """Silence after which a websocket is pinged, 0 for never (seconds, or a text such as `1m30s`; from 0; default
    20). `--ws-ping-interval`
    """
    ws_ping_timeout: float | str | None
    """Time that a pinged websocket has to show life, 0 for any (seconds, or a text such as `1m30s`; from 0;
    default 20). `--ws-ping-timeout`
    """
    ws_max_size: int | None
    """Largest websocket message, after decompression (bytes) (from 1; default 16777216). `--ws-max-size`"""
    ws_queue_size: int | None
    """Websocket messages that wait for the application (bytes) (from 1; default 1048576). `--ws-queue-size`"""
    ws_deflate: bool | None
    """Compress websocket messages if the client can (default True). `--ws-deflate`"""
    ws_idle_timeout: float | str | None
    """Time without messages after which a websocket is closed, 0 for any (seconds, or a text such as `1m30s`; from
    0; default 0). `--ws-idle-timeout`
    """
    ws_close_timeout: float | str | None
    """Time that a client has to answer the close of a websocket (seconds, or a text such as `1m30s`; from 0;
    default 10). `--ws-close-timeout`
    """
    keep_alive_timeout: float | str | None
    """Time that an idle HTTP/1 connection is kept, 0 to keep none (seconds, or a text such as `1m30s`; from 0;
    default 75). `--keep-alive-timeout`
    """
    request_body_timeout: float | str | None
    """Time for the next piece of a request's body, 0 for any (seconds, or a text such as `1m30s`; from 0; default
    60). `--request-body-timeout`
    """
    request_body_min_rate: int | None
    """Least rate of a request's body, 0 for any (bytes/s) (0 to 1,099,511,627,776; default 0). `--request-body-
    min-rate`
    """
    write_timeout: float | str | None
    """Time for a client to take some of its response, 0 for any (seconds, or a text such as `1m30s`; from 0;
    default 60). `--write-timeout`
    """
    request_timeout: float | str | None
    """Time from a request's head to the end of its response, 0 for any (seconds, or a text such as `1m30s`; from
    0; default 0). `--request-timeout`
    """
    cancel_on_disconnect: bool | None
    """Cancel the application's task when its client has gone (default False). `--cancel-on-disconnect`"""
    max_headers: int | None
    """Header fields of a request (1 to 1,099,511,627,776; default 256). `--max-headers`"""
    max_target_size: int | None
    """Size of a request's target (bytes) (1 to 1,099,511,627,776; default 16384). `--max-target-size`"""
    max_body_size: int | None
    """Size of a request's body (bytes) (1 to 1,099,511,627,776; default disabled). `--max-body-size`"""
    max_requests_per_connection: int | None
    """Requests on one connection (1 to 1,099,511,627,776; default disabled). `--max-requests-per-connection`"""
    max_connections: int | None
    """Open connections of a worker (1 to 1,099,511,627,776; default as many as descriptors). `--max-connections`"""
    max_connections_per_client: int | None
    """Open connections of one client's address in a worker (1 to 1,099,511,627,776; default disabled). `--max-
    connections-per-client`
    """
    max_queued_requests: int | None
    """Requests that wait for --backpressure in a worker (0 to 1,099,511,627,776; default disabled). `--max-queued-
    requests`
    """
    queue_timeout: float | str | None
    """Time that a request waits there, 0 for any (seconds, or a text such as `1m30s`; from 0; default 0).
    `--queue-timeout`
    """
    overload: Overload | str | None
    """Turn requests away by the time that others have waited (default off). `--overload`"""
    overload_target: float | str | None
    """Time that a request waits in a standing queue (seconds, or a text such as `1m30s`; from 0; default 5ms).
    `--overload-target`
    """
    overload_interval: float | str | None
    """Time that a request waits in another queue; after half of it that is a standing one (seconds, or a text such
    as `1m30s`; from 0; default 100ms). `--overload-interval`
    """
    drain_timeout: float | str | None
    """Time for requests to end when a worker stops (seconds, or a text such as `1m30s`; from 0; default 30, with
    --reload 3, or what --workers-kill-timeout leaves). `--drain-timeout`
    """
    metrics_routes: bool | None
    """Count requests by the routes that the application names (default False). `--metrics-routes`"""
    metrics_token: str | None
    """What clients of the status listener have to know, but for health (default nothing). `--metrics-token`"""
    health_path: str | None
    """Path on which each worker says whether it is ready (default none). `--health-path`"""
    health_loop_timeout: int | None
    """Unhealthy if an event loop has been stuck for so long (needs --metrics) (ms) (from 1; default any time).
    `--health-loop-timeout`
    """
    ssl_protocol_max: SSLProtocols | str | None
    """Newest version of TLS (default tls1.3). `--ssl-protocol-max`"""
    ssl_ciphers: Sequence[str] | str | None
    """Cipher suites, the preferred one first (default all that are safe). `--ssl-ciphers`"""
    ssl_sni: Sequence[str] | str | None
    """Further certificates, for the host names in them: CERTIFICATE,KEY. `--ssl-sni`"""
    ssl_handshake_timeout: float | str | None
    """Time for clients to agree on a TLS session (seconds, or a text such as `1m30s`; from 1; default 10). `--ssl-
    handshake-timeout`
    """
    ssl_redirect_port: int | None
    """Plain port whose clients are sent to the secured one (0 to 65,535; default disabled). `--ssl-redirect-port`"""
    ssl_redirect_to_port: int | None
    """Secured port as clients see it (1 to 65,535; default the one that is bound). `--ssl-redirect-to-port`"""
    static_path_precompressed: bool | None
    """Serve FILE.br, FILE.zst and FILE.gz to clients that take them (default False). `--static-path-precompressed`"""
    static_path_fallback: str | None
    """File to serve where a page is asked for that is no file. `--static-path-fallback`"""
    static_path_follow_links: bool | None
    """Symbolic links may lead out of the folders of static files (default False). `--static-path-follow-links`"""
    static_path_fallthrough: bool | None
    """Leave paths without a static file to the application (default False). `--static-path-fallthrough`"""
    static_path_immutable: Sequence[str] | str | None
    """Regular expressions of static files that never change. `--static-path-immutable`"""
    static_path_header: Sequence[str] | str | None
    """Headers of static files: [ROUTE] NAME: VALUE. `--static-path-header`"""
    static_path_type: Sequence[str] | str | None
    """Content types by the ending of a name: ENDING=TYPE. `--static-path-type`"""
    sendfile_map: Sequence[str] | str | None
    """Folders of files that responses name by X-Sendfile or X-Accel-Redirect: PREFIX=FOLDER. `--sendfile-map`"""
    compress: bool | None
    """Compress responses for clients that take it (default False). `--compress`"""
    forwarded_allow_ips: Sequence[str] | str | None
    """Proxies that are believed: addresses, networks, unix, * (default none). `--forwarded-allow-ips`"""
    forwarded_headers: Sequence[ForwardedHeaders | str] | ForwardedHeaders | str | None
    """Header fields of theirs that count (default all). `--forwarded-headers`"""
    proxy_protocol: bool | None
    """Their connections begin with a PROXY header, version 1 or 2 (default False). `--proxy-protocol`"""
    log_format: LogFormats | str | None
    """Form of both logs (default text). `--log-format`"""
    access_log_file: Path | str | None
    """File of the access log (default the standard output). `--access-log-file`"""
    access_log_exclude: Sequence[str] | str | None
    """Paths without lines; one that ends in / stands for all below it. `--access-log-exclude`"""
    access_log_sample: float | None
    """Part of the answers that get a line, from 0 to 1 (default 1). `--access-log-sample`"""
    request_id_header: str | None
    """Header that requests' names come in, are made for and are answered with (default disabled). `--request-id-
    header`
    """
    slow_request: float | str | None
    """Log requests that take longer, with what they wait for (seconds, or a text such as `1m30s`; from 0; default
    disabled). `--slow-request`
    """
    loop_lag: float | str | None
    """Log what blocks an event loop for longer (seconds, or a text such as `1m30s`; from 0; default disabled).
    `--loop-lag`
    """


class Keywords(EmbeddedKeywords, total=False):
    """All options."""

    workers: int | str | None
    """Worker processes, auto for as many as there are CPUs to use (from 1; default 1). `--workers`"""
    loop: Loops | str | None
    """Event loop (default auto). `--loop`"""
    respawn_failed_workers: bool | None
    """Replace workers that have died (default True). `--respawn-failed-workers`"""
    respawn_interval: float | None
    """Without effect: a worker is replaced once the new one is ready, after a crash at once (default 3.5).
    `--respawn-interval`
    """
    rss_sample_interval: float | str | None
    """Interval between samples of the workers' memory (seconds, or a text such as `1m30s`; 1 to 300; default 30).
    `--rss-sample-interval`
    """
    rss_samples: int | None
    """Samples in a row over the limit that replace a worker (from 1; default 1). `--rss-samples`"""
    workers_lifetime: float | str | None
    """Replace workers after this time (seconds, or a text such as `1m30s`; from 60; default disabled). `--workers-
    lifetime`
    """
    workers_max_rss: int | None
    """Replace workers that use more memory (MiB) (from 1; default disabled). `--workers-max-rss`"""
    workers_kill_timeout: float | str | None
    """Kill workers that have not stopped after this time; without --drain-timeout they drain until a second before
    (seconds, or a text such as `1m30s`; 1 to 1,800; default a second after --drain-timeout). `--workers-kill-
    timeout`
    """
    working_dir: Path | str | None
    """Directory to run the application in (default the current one). `--working-dir`"""
    env_files: Sequence[Path | str] | Path | str | None
    """Environment files (granian[dotenv]). `--env-files`"""
    reload: bool | None
    """Replace workers when files change (granian[reload]) (default False). `--reload`"""
    reload_paths: Sequence[Path | str] | Path | str | None
    """Paths to watch (default Working directory). `--reload-paths`"""
    reload_ignore_dirs: Sequence[str] | str | None
    """Names of directories to ignore. `--reload-ignore-dirs`"""
    reload_ignore_patterns: Sequence[str] | str | None
    """Regular expressions of files to ignore. `--reload-ignore-patterns`"""
    reload_ignore_paths: Sequence[Path | str] | Path | str | None
    """Paths to ignore. `--reload-ignore-paths`"""
    reload_filter: Any | None
    """A filter class of watchfiles for --reload."""
    reload_tick: int | None
    """Time that the watcher gathers changes (ms) (50 to 5,000; default 50). `--reload-tick`"""
    reload_ignore_worker_failure: bool | None
    """Without effect: a failure never ends a reloading server (default False). `--reload-ignore-worker-failure`"""
    process_name: str | None
    """Title of the processes (granian[pname]). `--process-name`"""
    pid_file: Path | str | None
    """File to write the process id to. `--pid-file`"""
    shutdown_delay: float | str | None
    """Time to serve on, without being ready, before a stop begins (seconds, or a text such as `1m30s`; from 0;
    default 0). `--shutdown-delay`
    """
    background_timeout: float | str | None
    """Time for background tasks to end once the last request has ended (seconds, or a text such as `1m30s`; from
    0; default 2). `--background-timeout`
    """
    wsgi_spool_limit: int | None
    """Largest body that is kept in a temporary file until a WSGI application is called (bytes) (from 1,048,576;
    default 1073741824). `--wsgi-spool-limit`
    """
    wsgi_spool_total: int | None
    """Most bytes of all such files of a worker together (from 1,048,576; default four times --wsgi-spool-limit).
    `--wsgi-spool-total`
    """
    max_requests: int | None
    """Replace workers after so many requests (from 1; default disabled). `--max-requests`"""
    max_requests_jitter: int | None
    """Random addition to --max-requests (from 0; default 0). `--max-requests-jitter`"""
    workers_lifetime_jitter: float | str | None
    """Random addition to --workers-lifetime (seconds, or a text such as `1m30s`; from 0; default 0). `--workers-
    lifetime-jitter`
    """
    hang_timeout: float | str | None
    """Replace workers whose event loop is stuck for this time (seconds, or a text such as `1m30s`; from 1; default
    disabled). `--hang-timeout`
    """
    preload: bool | None
    """Load the application before workers start (default False). `--preload`"""
