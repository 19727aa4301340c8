"""A proxy on loopback: forwards plain requests and tunnels CONNECT, wherever `hosts` says a name is."""

from __future__ import annotations

import base64
import contextlib
import socket
import socketserver
import ssl
import threading
from typing import Self


class FakeProxy:
    """`lines` are the request lines it saw, `auth` the user and password of each, `name:password` or None."""

    def __init__(self, hosts: dict[str, int], tls: ssl.SSLContext | None = None, refuse: bool = False) -> None:
        self.lines: list[str] = []
        self.auth: list[str | None] = []
        proxy = self

        class Handler(socketserver.StreamRequestHandler):
            def setup(self) -> None:
                if tls is not None:
                    self.request = tls.wrap_socket(self.request, server_side=True)
                super().setup()

            def finish(self) -> None:
                super().finish()
                self.connection.close()

            def handle(self) -> None:
                head = list(iter(lambda: self.rfile.readline().decode().strip(), ""))
                proxy.lines.append(head[0])
                given = [line[len("Proxy-Authorization: Basic ") :] for line in head if line.startswith("Proxy-Auth")]
                proxy.auth.append(base64.b64decode(given[0]).decode() if given else None)
                target = head[0].split()[1].split("://")[-1].split("/")[0]
                if refuse:
                    self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                    return
                with socket.create_connection(("127.0.0.1", hosts[target])) as there:
                    if head[0].startswith("CONNECT"):
                        self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                    else:
                        there.sendall("\r\n".join([*head, "Connection: close", "", ""]).encode())
                    threading.Thread(target=self._pump, args=(there,), daemon=True).start()
                    with contextlib.suppress(OSError):
                        while data := there.recv(65536):
                            self.wfile.write(data)

            def _pump(self, there: socket.socket) -> None:
                with contextlib.suppress(OSError):
                    while data := self.connection.recv(65536):
                        there.sendall(data)
                    there.shutdown(socket.SHUT_WR)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: object, client_address: object) -> None:
                return

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
