"""Serve a folder to this machine alone."""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cemag.errors import CemagError, one_line

__all__ = ["make_server", "serve"]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Print nothing for each request."""


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
