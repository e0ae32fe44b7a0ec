"""Names that other projects import from the package (contract 2.1, 2.5 to 2.10)."""

import importlib

import pytest

NAMES = {
    "granian": "Granian __version__ loops",
    "granian._granian": "BUILD_GIL ProcInfoCollector Worker __version__",
    "granian._imports": "anyio dotenv setproctitle watchfiles",
    "granian._internal": "build_env_loader get_import_components load_env load_module load_target patch_pypath "
    "prepare_import",
    "granian._loops": "BuilderRegistry Registry loops",
    "granian._procinfo": "ProcInfoCollector",
    "granian.asgi": "LifespanProtocol",
    "granian.cli": "Duration EnumType OctalIntType cli entrypoint option",
    "granian.constants": "HTTPModes Interfaces Loops RuntimeModes SSLProtocols StrEnum TaskImpl",
    "granian.errors": "ConfigurationError FatalError PidFileError",
    "granian.http": "HTTP1Settings HTTP2Settings",
    "granian.log": "DEFAULT_ACCESSLOG_FMT LOGGING_CONFIG LogLevels access_logger configure_logging log_levels_map "
    "log_request_builder logger",
    "granian.net": "SocketHolder SocketSpec UnixSocketSpec",
    "granian.rsgi": "HTTPProtocol Headers ProtocolClosed ProtocolError Scope WebsocketMessage WebsocketMessageType "
    "WebsocketProtocol",
    "granian.server": "MPServer MTServer Server",
    "granian.server.common": "AbstractServer AbstractWorker",
    "granian.server.embed": "AsyncWorker Server",
    "granian.server.mp": "WorkerProcess",
    "granian.server.mt": "WorkerThread",
    "granian.utils.proxies": "wrap_asgi_with_proxy_headers wrap_rsgi_with_proxy_headers wrap_wsgi_with_proxy_headers",
}


@pytest.mark.parametrize("module", NAMES)
def test_names(module):
    found = importlib.import_module(module)
    assert [name for name in NAMES[module].split() if not hasattr(found, name)] == []


def test_star():
    from granian import __all__

    assert sorted(__all__) == ["Granian", "__version__", "loops"]
