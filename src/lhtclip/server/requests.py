"""Steps shared by all routes: find the service, read the image, notice disconnected clients."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable
from typing import TypeVar

from fastapi import Request
from starlette.datastructures import UploadFile

from lhtclip.server.problems import Problem
from lhtclip.server.service import Service

T = TypeVar("T")
_CLIENT_GONE = 499


def service_of(request: Request) -> Service:
    """Return the application's service."""
    return request.app.state.service


async def image_bytes(request: Request) -> bytes:
    """Return the image of a request: its body, the form's `file`, or JSON's base64 `image`.

    Raises:
        Problem: 415 or 422 if the request has no image in any of these forms.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith("image/") or kind == "application/octet-stream":
        return await request.body()
    if kind == "multipart/form-data":
        async with request.form(max_files=1, max_fields=20) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise Problem(422, "form", "The form has no file in its field `file`.")
            return await file.read()
    if kind == "application/json":
        return await _image_in_json(request)
    raise Problem(
        415,
        "media-type",
        "Send the image as image/*, multipart/form-data or JSON, "
        f"not as {kind[:100] or 'nothing'!r}.",
    )


async def _image_in_json(request: Request) -> bytes:
    try:
        text = (await request.json())["image"]
        return base64.b64decode(text.partition("base64,")[2] or text, validate=True)
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        binascii.Error,
    ) as error:
        raise Problem(
            422, "json", "JSON needs a field `image` that holds base64 of an image file."
        ) from error


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """Await work, but stop waiting if the client disconnects, which frees its place."""
    task = asyncio.ensure_future(work)
    watcher = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Problem(_CLIENT_GONE, "client-gone", "The client disconnected.")
    finally:
        for each in (task, watcher):
            each.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
