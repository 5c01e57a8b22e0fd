"""Serve a folder to this machine alone."""

from __future__ import annotations

import gzip
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

from cemag.errors import CemagError, one_line

__all__ = ["make_server", "serve"]


COMPRESSED = (".html", ".css", ".js", ".svg", ".csv")


class _Quiet(SimpleHTTPRequestHandler):
    """Serves text compressed, as hosts of pages do, and prints nothing for each request."""

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""

    def send_head(self) -> Any:
        """Send a file's head and return what is to follow it."""
        path = Path(self.translate_path(self.path))
        if "\0" in str(path):  # no file system has such a name
            self.send_error(404)
            return None
        if path.is_dir():
            path /= "index.html"
        accepted = "gzip" in self.headers.get("Accept-Encoding", "")
        if not accepted or path.suffix not in COMPRESSED or not path.is_file():
            return super().send_head()
        content = gzip.compress(path.read_bytes(), compresslevel=6, mtime=0)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return BytesIO(content)


def make_server(folder: Path, port: int = 0) -> ThreadingHTTPServer:
    """Return a server of a folder on the loopback address; port 0 takes a free one."""
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), partial(_Quiet, directory=str(folder)))
    except OSError as error:
        raise CemagError(
            f"port {port} cannot be used ({one_line(error)}): choose another with --port"
        ) from None


def serve(folder: Path, port: int) -> None:
    """Serve a folder until interrupted."""
    if not (folder / "index.html").is_file():
        raise CemagError(f"no book at {folder}: build it first with `cemag book`")
    with make_server(folder, port) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}/  (Ctrl-C ends it)", flush=True)
        server.serve_forever()
