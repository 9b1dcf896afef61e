"""The OpenAPI document: every operation may refuse, and says how, as a problem."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from lhtclip.server.problems import MEDIA_TYPE
from lhtclip.server.schemas import ProblemAnswer

_REFUSALS = {
    "400": "The request cannot be read.",
    "401": "The token is missing or wrong.",
    "403": "The host or the origin is not allowed.",
    "404": "Nothing has this name or id, or the image has expired.",
    "408": "The body took too long.",
    "413": "The body or the image is too large.",
    "415": "The body has a type that is not read.",
    "422": "The image or the words cannot be used.",
    "431": "The headers are too large.",
    "503": "Too many requests wait, or the server is shutting down; see Retry-After.",
    "504": "The model was not free in time.",
}
_FASTAPIS_OWN = ("HTTPValidationError", "ValidationError")


class Api(FastAPI):
    """FastAPI with the refusals of this server in its document."""

    def openapi(self) -> dict[str, Any]:
        """Return the document; it is made once."""
        if self.openapi_schema is None:
            document = super().openapi()
            schemas = document["components"]["schemas"]
            for name in _FASTAPIS_OWN:
                schemas.pop(name, None)
            schemas["ProblemAnswer"] = ProblemAnswer.model_json_schema()
            for operations in document["paths"].values():
                for operation in operations.values():
                    operation["responses"].update(_refusals())
        return self.openapi_schema or {}


def _refusals() -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemAnswer"}}}
    return {status: {"description": text, "content": content} for status, text in _REFUSALS.items()}
