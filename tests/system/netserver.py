# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers on the host that guests talk to through the NAT."""

import hashlib
import http.server
import random
import socket
import threading


def random_bytes(size, seed=1):
    return random.Random(seed).randbytes(size)


class FileServer:
    """Serves {"/name": bytes} over HTTP on a port of the loopback interface."""

    def __init__(self, files):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                data = files.get(self.path)
                self.send_response(200 if data is not None else 404)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                self.wfile.write(data or b"")

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Sink:
    """Accepts one connection on the loopback interface and keeps the hash of all that comes."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.hash = hashlib.md5()
        self.size = 0
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        connection, _ = self.listener.accept()
        with connection:
            while data := connection.recv(1 << 16):
                self.hash.update(data)
                self.size += len(data)

    def result(self, timeout=60):
        self.thread.join(timeout)
        self.listener.close()
        return self.hash.hexdigest()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]
