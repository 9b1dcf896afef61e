"""Run the server until a signal stops it, and shut it down gracefully."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Sequence
from socket import socket
from types import FrameType

import uvicorn

from lhtclip.segmenter import Segmenter
from lhtclip.server.app import Application, create_app
from lhtclip.server.connections import Connection
from lhtclip.server.logs import start_log
from lhtclip.server.security import MOST_HEADER_BYTES
from lhtclip.server.settings import ServerSettings

log = logging.getLogger("lhtclip.server")


class _Server(uvicorn.Server):
    """Refuses new work as soon as a signal arrives, before connections are closed."""

    def __init__(
        self, config: uvicorn.Config, application: Application, on_ready: Callable[[str], None]
    ) -> None:
        super().__init__(config)
        self._application, self._on_ready = application, on_ready

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        for server in self.servers:
            for own in server.sockets:
                host, port = own.getsockname()[:2]
                self._on_ready(f"http://{f'[{host}]' if ':' in host else host}:{port}/")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._application.service.drain()
        if sig == signal.SIGTERM:
            self.should_exit = True  # uvicorn would raise it again at the end: no graceful exit
        else:
            super().handle_exit(sig, frame)


def serve(
    segmenter: Segmenter,
    settings: ServerSettings,
    *,
    also: Sequence[Segmenter] = (),
    on_ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve until SIGTERM or Ctrl-C; the running batch is finished first.

    Args:
        segmenter: The model, with the method and techniques that are used by default.
        settings: Address, limits and access.
        also: Segmenters of further models, for requests that name one.
        on_ready: Called with each address once the server accepts requests.
    """
    start_log(as_json=settings.log_json)
    application = create_app(segmenter, settings, also=also)
    try:
        _Server(configure(application, settings), application, on_ready).run()
    finally:
        application.service.close()


def configure(application: Application, settings: ServerSettings) -> uvicorn.Config:
    """Return how uvicorn is to serve an application."""
    return uvicorn.Config(
        application,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        http=Connection,
        ws="none",
        h11_max_incomplete_event_size=MOST_HEADER_BYTES,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=int(settings.timeout),
    )
