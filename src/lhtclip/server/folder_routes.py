"""The batch view: images of one folder on the server's disk, if it was started with --root."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Query, Request, Response
from PIL import Image

from lhtclip.image.files import suffixes_read
from lhtclip.server.problems import Problem
from lhtclip.server.requests import service_of, unless_gone
from lhtclip.server.schemas import ImageAnswer
from lhtclip.server.service import Service
from lhtclip.server.variants import Variant

_THUMBNAIL = 256  # pixels
_MOST = 500
router = APIRouter(prefix="/v1/folder")


@router.get("", operation_id="list_folder", summary="List the images of the server's folder")
async def list_folder(
    request: Request, start: int = Query(0, ge=0), count: int = Query(60, ge=1, le=_MOST)
) -> dict[str, Any]:
    """List images by their path below the folder, in alphabetical order."""
    root = _root(service_of(request))
    names = await asyncio.to_thread(_names, root)
    return {"total": len(names), "images": names[start : start + count]}


@router.post(
    "/open",
    status_code=201,
    operation_id="open_from_folder",
    response_model=ImageAnswer,
    summary="Encode an image of the folder and keep it",
)
async def open_from_folder(request: Request, name: str = Query()) -> ImageAnswer:
    """Encode an image of the folder, as if it had been uploaded."""
    service = service_of(request)
    path = _inside(_root(service), name)
    data = await asyncio.to_thread(path.read_bytes)
    stored = await unless_gone(request, service.upload(data, Variant()))
    height, width = stored.image.shape[:2]
    return ImageAnswer(
        id=stored.id, width=width, height=height, expires_in=service.store.idle_seconds
    )


@router.get("/image", operation_id="folder_image", summary="Return an image of the folder")
async def folder_image(request: Request, name: str = Query()) -> Response:
    """Return an image file unchanged; its type comes from its content, not from its name."""
    path = _inside(_root(service_of(request)), name)
    return Response(await asyncio.to_thread(path.read_bytes), media_type="image/*")


@router.get("/thumbnail", operation_id="thumbnail", summary="Return a small JPEG of an image")
async def thumbnail(request: Request, name: str = Query()) -> Response:
    """Return an image of the folder, its longer side at most 256 pixels."""
    service = service_of(request)
    path = _inside(_root(service), name)
    image = await service.read(await asyncio.to_thread(path.read_bytes))

    def small() -> bytes:
        picture, file = Image.fromarray(image), io.BytesIO()
        picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
        picture.save(file, format="JPEG", quality=85)
        return file.getvalue()

    return Response(await service.aside(small), media_type="image/jpeg")


def _root(service: Service) -> Path:
    root = service.settings.root
    if root is None:
        raise Problem(404, "no-folder", "The server was started without --root.")
    return root.resolve()


def _names(root: Path) -> list[str]:
    suffixes = suffixes_read()
    found = (path for path in root.rglob("*") if path.suffix.lower() in suffixes)
    names = [path.relative_to(root).as_posix() for path in found if _is_below(root, path)]
    return sorted(name for name in names if not any(p.startswith(".") for p in name.split("/")))


def _is_below(root: Path, path: Path) -> bool:
    resolved = path.resolve()
    return resolved.is_relative_to(root) and resolved.is_file()


def _inside(root: Path, name: str) -> Path:
    """Return the path of an image in the folder; links that lead out of it are refused."""
    try:
        path = root / name
        usable = path.suffix.lower() in suffixes_read() and _is_below(root, path)
    except (OSError, ValueError):
        usable = False
    if not usable:
        raise Problem(404, "no-file", f"The folder has no image {name[:200]!r}.")
    return root / name
