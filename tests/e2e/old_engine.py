"""A fake Docker engine that is too old: it gives its version and refuses everything else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

VERSION = {"Version": "17.06.2-ce", "ApiVersion": "1.30", "MinAPIVersion": "1.12"}


class Handler(BaseHTTPRequestHandler):
    """One request."""

    def do_GET(self) -> None:
        """Answer."""
        known = self.path.endswith("/version")
        body = json.dumps(VERSION if known else {"message": "page not found"}).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET
    do_POST = do_GET

    def address_string(self) -> str:
        """A Unix socket has none."""
        return "local"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def old_engine(folder: Path) -> Iterator[str]:
    """Start it; return its DOCKER_HOST."""
    path = folder / "docker.sock"
    with ThreadingUnixStreamServer(str(path), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield f"unix://{path}"
        finally:
            server.shutdown()
            serving.join()
