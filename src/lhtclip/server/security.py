"""Checks that run before a request is read, and headers that are added to every answer.

This is ASGI middleware, because FastAPI would read a whole upload before checking the token.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from lhtclip.server.metrics import Metrics
from lhtclip.server.problems import MEDIA_TYPE, Problem
from lhtclip.server.settings import ServerSettings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_OPEN = ("/", "/healthz", "/health", "/readyz", "/favicon.ico")  # no token: page, probes
_LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]", "::1")
_HEADERS = {
    b"content-security-policy": b"default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; "
    b"style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; form-action 'none'; "
    b"base-uri 'none'; frame-ancestors 'none'; manifest-src 'self'; worker-src 'self' blob:",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}
MOST_HEADER_BYTES = 32 << 10
_CLOSE = {"Connection": "close"}  # the rest of the body is not waited for
log = logging.getLogger("lhtclip.server")


class Guard:
    """Checks host, origin, token and size; adds headers; counts and logs every answer."""

    def __init__(self, app: App, settings: ServerSettings, metrics: Metrics) -> None:
        """Wrap an application."""
        self._app, self._settings, self._metrics = app, settings, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, request_id = time.perf_counter(), secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        headers = {name.lower(): value for name, value in scope["headers"]}
        answered: dict[str, Any] = {"status": 0, "begun": False}

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered.update(status=message["status"], begun=True)
                given = [*message.get("headers", []), (b"x-request-id", request_id.encode())]
                names = {name.lower() for name, _ in given}
                given += [(k, v) for k, v in _HEADERS.items() if k not in names]
                message = {**message, "headers": given + self._cors(headers)}
            await send(message)

        try:
            self._check(scope, headers)
            if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
                await _answer(send_on, 204, b"", "text/plain")
            else:
                await self._app(scope, self._bounded(receive), send_on)
        except Problem as problem:
            if not answered["begun"]:
                body = json.dumps(problem.document(request_id)).encode()
                await _answer(send_on, problem.status, body, MEDIA_TYPE, problem.headers)
        finally:
            self._count(scope, answered["status"], time.perf_counter() - started, request_id)

    def _check(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        settings = self._settings
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MOST_HEADER_BYTES:
            raise Problem(
                431, "headers", f"Headers may have at most {MOST_HEADER_BYTES} bytes.", _CLOSE
            )
        host = headers.get(b"host", b"").decode("latin-1")
        name = urlsplit(f"//{host}").hostname or ""
        if settings.is_local and name not in _LOCAL_NAMES:  # DNS rebinding
            raise Problem(
                403,
                "host",
                f"This server only answers requests for localhost, not for {name[:100]!r}.",
            )
        origin = headers.get(b"origin", b"").decode("latin-1")
        allowed = origin in settings.cors or urlsplit(origin).netloc == host
        if origin and not allowed:
            raise Problem(
                403, "origin", f"Pages of {origin[:100]!r} may not call this server. See --cors."
            )
        path = scope["path"]
        free = path in _OPEN or path.startswith("/page/") or scope["method"] == "OPTIONS"
        if settings.token is not None and not free:
            self._check_token(headers)
        length = headers.get(b"content-length")
        if length is not None and (not length.isdigit() or int(length) > settings.max_bytes):
            self._metrics.rejected.labels("too_large").inc()
            raise Problem(
                413, "body-too-large", f"A request may have at most {settings.max_bytes} bytes."
            )

    def _check_token(self, headers: dict[bytes, bytes]) -> None:
        given = headers.get(b"authorization", b"")
        kind, _, value = given.partition(b" ")
        value = value.strip() if kind.lower() == b"bearer" else headers.get(b"token", b"")
        expected = (self._settings.token or "").encode()
        if not secrets.compare_digest(value, expected):
            self._metrics.rejected.labels("token").inc()
            raise Problem(
                401,
                "token",
                "Send the server's token as `Authorization: Bearer TOKEN`.",
                {"WWW-Authenticate": "Bearer"},
            )

    def _bounded(self, receive: Receive) -> Receive:
        """Stop a body that is too large or arrives too slowly."""
        size, until = 0, time.monotonic() + self._settings.body_timeout
        whole = False

        async def receive_on() -> Message:
            nonlocal size, whole
            if whole:  # only a disconnection can follow, at any time
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(until - time.monotonic(), 0.001))
            except asyncio.TimeoutError:
                raise Problem(
                    408,
                    "slow-body",
                    f"The body took over {self._settings.body_timeout:g} seconds.",
                    _CLOSE,
                ) from None
            size += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if size > self._settings.max_bytes:
                self._metrics.rejected.labels("too_large").inc()
                raise Problem(
                    413,
                    "body-too-large",
                    f"A request may have at most {self._settings.max_bytes} bytes.",
                    _CLOSE,
                )
            return message

        return receive_on

    def _cors(self, headers: dict[bytes, bytes]) -> list[tuple[bytes, bytes]]:
        origin = headers.get(b"origin", b"")
        if origin.decode("latin-1") not in self._settings.cors:
            return []
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-methods", b"GET, POST, DELETE"),
            (b"access-control-allow-headers", b"authorization, content-type"),
            (b"vary", b"origin"),
        ]

    def _count(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.requests.labels(route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        log.info(
            "request",
            extra={
                "fields": {
                    "id": request_id,
                    "method": scope["method"],
                    "route": route,
                    "status": status,
                    "seconds": round(seconds, 4),
                }
            },
        )


async def _answer(
    send: Send, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None
) -> None:
    given = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    given += [(k.lower().encode(), v.encode()) for k, v in (headers or {}).items()]
    await send({"type": "http.response.start", "status": status, "headers": given})
    await send({"type": "http.response.body", "body": body})
