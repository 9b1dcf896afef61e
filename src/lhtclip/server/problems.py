"""Errors as RFC 9457 problem details: one JSON form for every refusal."""

from __future__ import annotations

from typing import Any

_TITLES = {
    400: "Bad request",
    401: "Token missing or wrong",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Request took too long",
    411: "Length required",
    413: "Too large",
    415: "Unsupported media type",
    422: "Input that cannot be used",
    431: "Headers too large",
    500: "Internal error",
    503: "Busy",
    504: "Timed out",
}
MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """A request that is refused.

    Attributes:
        status: HTTP status.
        kind: Last part of the problem's type, such as "image-expired".
        detail: What was given, what is allowed and what to do.
        headers: Headers of the answer.
    """

    def __init__(
        self, status: int, kind: str, detail: str, headers: dict[str, str] | None = None
    ) -> None:
        """Describe the refusal."""
        super().__init__(detail)
        self.status, self.kind, self.detail = status, kind, detail
        self.headers = headers or {}

    def document(self, request_id: str = "") -> dict[str, Any]:
        """Return the problem as JSON types."""
        return {
            "type": f"urn:lhtclip:problem:{self.kind}",
            "title": _TITLES.get(self.status, "Error"),
            "status": self.status,
            "detail": self.detail,
            **({"instance": f"urn:request:{request_id}"} if request_id else {}),
        }


def busy(detail: str, *, after: int = 1) -> Problem:
    """Return the answer to a request for which there is currently no room."""
    return Problem(503, "busy", detail, {"Retry-After": str(after)})


def gone(identifier: str) -> Problem:
    """Return the answer to an id that is unknown or has expired."""
    return Problem(
        404, "image-expired", f"No image has the id {identifier[:64]!r}. Upload it again."
    )
