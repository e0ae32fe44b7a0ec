"""Subclasses written for granian 2: the methods that they override are called, or they are told."""

from __future__ import annotations

import re
import signal

from granian.cli import EnumType, _pretty_print_default
from granian.constants import HTTPModes

# Each overriding method says its name and goes on.
PROGRAM = """
    import os, socket, sys
    from granian.constants import Interfaces
    from granian.net import SocketSpec
    from granian.server import Server as Granian

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(os.getpid()).encode()})

    class Own(Granian):
        def startup(self, spawn_target, target_loader):
            print("@startup", flush=True)
            super().startup(spawn_target, target_loader)

        def shutdown(self, exit_code=0):
            print("@shutdown", exit_code, flush=True)
            self._sso.close()
            super().shutdown(exit_code)

        def _init_shared_socket(self):
            self._shd = SocketSpec(self.bind_addr, self.bind_port, self.backlog).build()
            self._sfd = self._shd.get_fd()
            self._sso = socket.socket(fileno=self._sfd)
            self.bind_port = self._sso.getsockname()[1]
            print("@bound", self.bind_port, flush=True)

        def _spawn_worker(self, idx, target, callback_loader):
            worker = super()._spawn_worker(idx=idx, target=target, callback_loader=callback_loader)
            print("@spawned", idx, worker.inner.pid, worker.is_alive(), worker.interrupt_by_parent, flush=True)
            worker._watcher = lambda: None
            return worker

        def signal_handler_interrupt(self, *args, **kwargs):
            print("@interrupt", *args, flush=True)
            self.interrupt_signal = True
            self.main_loop_interrupt.set()

        def signal_handler_reload(self, *args, **kwargs):
            print("@hangup", flush=True)
            super().signal_handler_reload(*args, **kwargs)

        def build_ssl_context(self, *values):
            print("@tls", *values, flush=True)
            super().build_ssl_context(*values)

        def _serve(self, *arguments):
            return super()._serve(*arguments)

    if __name__ == "__main__":
        own = Own("main:app", port=0, interface=Interfaces.ASGINL)
        own.on_startup(lambda: print("@hook", flush=True))
        own.serve()
"""


def test_overriding_methods_are_called(program):
    own = program(PROGRAM)
    own.wait_ready()
    lines = [line for line in own.lines() if line.startswith("@")]
    assert lines[0] == "@tls None None None tls1.3 None () False"
    assert lines[1] == f"@bound {own.address[1]}"
    assert lines[2:4] == ["@startup", "@hook"]
    assert lines[4] == f"@spawned 0 {own.pids()[0]} True False"
    own.wait_line("Own overrides _serve, which is this server's own")
    assert own.log().count("Own overrides") == 1
    assert own.get("/").text == str(own.pids()[0])
    own.signal(signal.SIGHUP)
    own.wait_line("@hangup")
    own.wait_line("Stopped old worker-1")
    assert own.get("/").text == str(own.pids()[1])
    own.terminate()
    own.wait_line("@shutdown 0")
    assert own.wait_exit() == 0
    assert own.log().count("@interrupt") == 1


def test_overriding_methods_of_a_server_with_threads_are_called(program):
    # A build with a GIL refuses; the rest is the same.
    source = PROGRAM.replace(
        "from granian.server import Server as Granian", "from granian.server import MTServer as Granian"
    )
    source = source.replace("worker.inner.pid", "worker.inner.name").replace(
        "class Own(", "Granian._check = lambda self: None\n\n    class Own("
    )
    own = program(source).wait_ready()
    lines = [line for line in own.lines() if line.startswith("@")]
    assert lines[0] == "@tls None None None tls1.3 None () False"
    assert lines[1:4] == [f"@bound {own.address[1]}", "@startup", "@hook"]
    assert re.fullmatch(r"@spawned 0 \S+ True False", lines[4])
    assert own.get("/").text == str(own.process.pid)
    own.signal(signal.SIGHUP)
    own.wait_line("@hangup")
    own.wait_line("Stopped old worker-1")
    own.terminate()
    own.wait_line("@shutdown 0")
    assert own.wait_exit() == 0


def test_methods_that_an_embedded_server_does_not_call(program):
    own = program("""
        import asyncio
        from granian.server.embed import Server

        async def app(scope, receive, send):
            pass

        class Own(Server):
            def startup(self, *arguments):
                print("@startup", flush=True)

            def _init_shared_socket(self):
                print("@bound", flush=True)

        async def main():
            async with Own(app, port=0, interface="asginl"):
                pass

        asyncio.run(main())
    """)
    assert own.wait_exit() == 0
    assert "@" not in own.log()
    for name in ("startup", "_init_shared_socket"):
        assert own.log().count(f"Own overrides {name}, which an embedded server does not call") == 1


def test_other_certificates_by_an_overriding_method(program):
    own = program("""
        from granian import Granian

        class Own(Granian):
            def build_ssl_context(self, cert, key, password, proto, ca, crl, client_verify):
                self.ssl_ctx = (True, "nowhere.pem", "nowhere.key", None, "tls1.2", None, [], False)

        Own("main:app", interface="asginl")
    """)
    assert own.wait_exit() == 1
    assert "ConfigurationError: ssl_cert" in own.log()


def test_worker_that_is_not_the_servers(program):
    own = program("""
        from granian import Granian

        class Own(Granian):
            def _spawn_worker(self, idx, target, callback_loader):
                super()._spawn_worker(idx, target, callback_loader)

        if __name__ == "__main__":
            Own("main:app", port=0, interface="asginl").serve()
    """)
    assert own.wait_exit() == 1
    assert "gives None and not the worker of the server's own" in own.log()


def test_names_that_plugins_import():
    from granian._granian import SocketHolder

    assert SocketHolder(3, False, 128).get_fd() == 3
    assert [_pretty_print_default(value) for value in (True, False, HTTPModes.http2, 5, None)] == [
        "enabled",
        "disabled",
        "2",
        5,
        None,
    ]
    assert EnumType(HTTPModes, True).case_sensitive
