"""The ASGI application: page, service, health, metrics."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from importlib import resources
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from lhtclip import __version__
from lhtclip.errors import LhtClipError
from lhtclip.segmenter import Segmenter
from lhtclip.server import folder_routes, routes
from lhtclip.server.openapi import Api
from lhtclip.server.problems import MEDIA_TYPE, Problem
from lhtclip.server.protocols import label_studio, samgeo, x_anylabeling
from lhtclip.server.security import Guard
from lhtclip.server.service import Service
from lhtclip.server.settings import ServerSettings
from lhtclip.server.variants import remake

PAGE = Path(str(resources.files("lhtclip.server"))) / "page"
log = logging.getLogger("lhtclip.server")


def create_app(
    segmenter: Segmenter,
    settings: ServerSettings | None = None,
    *,
    also: Sequence[Segmenter] = (),
) -> Application:
    """Build the ASGI application around a segmenter.

    Args:
        segmenter: The model, with the method and techniques that are used by default.
        settings: Limits and access.
        also: Segmenters of further models, for requests that name one.
    """
    settings = settings or ServerSettings()
    service = Service(segmenter, remake, settings, also)
    app = Api(
        title="lhtclip",
        version=__version__,
        summary="Segment any image with your own words.",
        docs_url=None,  # FastAPI's own pages load scripts from other hosts
        redoc_url=None,
    )
    app.state.service = service
    for router in (routes.router, label_studio.router, x_anylabeling.router, samgeo.router):
        app.include_router(router)
    if settings.root is not None:
        app.include_router(folder_routes.router)
    _add_probes(app, service)
    _add_problems(app)
    app.mount("/page", StaticFiles(directory=str(PAGE)), name="page")
    for path, name in (("/", "index.html"), ("/docs", "docs.html")):
        app.add_api_route(path, _page(name), include_in_schema=False)
    return Application(app, service, settings)


class Application(Guard):
    """The guarded ASGI application and the service behind it."""

    def __init__(self, app: FastAPI, service: Service, settings: ServerSettings) -> None:
        """Guard an application."""
        super().__init__(app, settings, service.metrics)
        self.api, self.service = app, service


def _page(name: str) -> Callable[[], Awaitable[Response]]:
    async def page() -> Response:
        return Response((PAGE / name).read_bytes(), media_type="text/html; charset=utf-8")

    return page


def _add_probes(app: FastAPI, service: Service) -> None:
    async def healthz() -> dict[str, str]:
        """Report that the process is alive."""
        return {"status": "UP"}

    async def readyz() -> Response:
        """Report whether the server accepts requests."""
        text = "ready" if service.ready else "shutting down"
        return JSONResponse({"status": text}, 200 if service.ready else 503)

    async def metrics() -> Response:
        """Return the metrics in Prometheus' text form."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    app.add_api_route("/healthz", healthz, operation_id="health", summary="Alive?")
    app.add_api_route(
        "/readyz", readyz, operation_id="ready", summary="Ready?", response_class=JSONResponse
    )
    app.add_api_route("/metrics", metrics, operation_id="metrics", response_class=Response)


def _add_problems(app: FastAPI) -> None:
    """Return every error as a problem; unexpected ones are logged, and their details not sent."""

    async def answer(request: Request, error: Exception) -> Response:
        problem = _problem(error)
        request_id = request.state.request_id
        if problem.status == 500:
            log.error("failed", exc_info=error, extra={"fields": {"id": request_id}})
        return JSONResponse(
            problem.document(request_id),
            problem.status,
            headers=problem.headers,
            media_type=MEDIA_TYPE,
        )

    for kind in (Problem, LhtClipError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, answer)


def _problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, LhtClipError):
        return Problem(422, "input", str(error))
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return Problem(422, "parameters", f"{where}: {first['msg']}."[:500])
    if isinstance(error, HTTPException):
        return Problem(error.status_code, "http", str(error.detail), dict(error.headers or {}))
    return Problem(500, "internal", "Something failed inside the server; see its log.")
