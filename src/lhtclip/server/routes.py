"""The REST service under /v1: images, their labels, and the server's capabilities."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query, Request, Response

from lhtclip import __version__
from lhtclip.datasets.scene_files import bundled_scenes
from lhtclip.methods import METHODS
from lhtclip.segmentation import Segmentation
from lhtclip.server.answers import describe, labels_png
from lhtclip.server.gains import gains_in_query, gains_of
from lhtclip.server.problems import Problem
from lhtclip.server.requests import image_bytes, service_of, unless_gone
from lhtclip.server.schemas import (
    Candidate,
    Gains,
    ImageAnswer,
    ProbeAnswer,
    ProbeRequest,
    SegmentAnswer,
    SegmentRequest,
    ViewAnswer,
    ViewRequest,
)
from lhtclip.server.service import as_asked
from lhtclip.server.variants import Variant
from lhtclip.server.views import view

T = TypeVar("T")
_IMAGE_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
        },
    }
}
router = APIRouter(prefix="/v1")


@router.post(
    "/images",
    status_code=201,
    operation_id="encode_image",
    response_model=ImageAnswer,
    openapi_extra=_IMAGE_BODY,
    summary="Encode an image and keep it",
)
async def encode_image(request: Request) -> ImageAnswer:
    """Read an image (raw bytes, or a form with `file`), encode it once, and return its id."""
    service = service_of(request)
    data = await image_bytes(request)
    stored = await unless_gone(request, service.upload(data, Variant()))
    height, width = stored.image.shape[:2]
    return ImageAnswer(
        id=stored.id, width=width, height=height, expires_in=service.store.idle_seconds
    )


@router.delete(
    "/images/{identifier}", status_code=204, operation_id="forget_image", summary="Forget an image"
)
async def forget_image(request: Request, identifier: str) -> Response:
    """Forget an image before it expires."""
    service_of(request).store.remove(identifier)
    return Response(status_code=204)


@router.post(
    "/images/{identifier}/segment",
    operation_id="segment_image",
    response_model=SegmentAnswer,
    response_model_exclude_none=False,
    summary="Label every pixel of a kept image",
)
async def segment_image(request: Request, identifier: str, asked: SegmentRequest) -> SegmentAnswer:
    """Label a kept image with the classes; the encoder does not run again."""

    def answer(result: Segmentation, seconds: dict[str, float]) -> SegmentAnswer:
        return describe(result, asked.include, identifier=identifier, seconds=seconds)

    return await _labelled(request, identifier, asked, answer)


@router.post(
    "/images/{identifier}/labels.png",
    operation_id="label_image",
    summary="Label every pixel of a kept image; answer with a PNG",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}, "description": "Class indices."}},
)
async def label_image(request: Request, identifier: str, asked: SegmentRequest) -> Response:
    """Return only the class indices, as a greyscale PNG."""
    png = await _labelled(request, identifier, asked, lambda result, _: labels_png(result.labels))
    return Response(png, media_type="image/png")


@router.post(
    "/images/{identifier}/probe",
    operation_id="probe_image",
    response_model=ProbeAnswer,
    summary="List the best classes at one pixel",
)
async def probe_image(request: Request, identifier: str, asked: ProbeRequest) -> ProbeAnswer:
    """List the best classes at one pixel with their probabilities."""
    service = service_of(request)
    stored = service.store.get(identifier)
    vocabulary, variant = service.vocabulary(asked), service.variant(asked)
    encoded = as_asked(await service.encoded(stored, variant), asked)
    best = await service.ask(lambda: encoded.probe(asked.x, asked.y, vocabulary, k=asked.k))
    classes = [Candidate(name=name, probability=min(chance, 1.0)) for name, chance in best]
    return ProbeAnswer(x=asked.x, y=asked.y, classes=classes)


@router.post(
    "/images/{identifier}/view",
    operation_id="view_image",
    response_model=ViewAnswer,
    summary="Show what the techniques see",
)
async def view_image(request: Request, identifier: str, asked: ViewRequest) -> ViewAnswer:
    """Return Hoyer's measure of every patch, or the similarity of one patch to all others."""
    service = service_of(request)
    stored = service.store.get(identifier)
    encoded = await service.encoded(stored, service.variant(asked))
    return await service.ask(lambda: view(encoded, asked))


@router.post(
    "/segment",
    operation_id="segment_once",
    response_model=SegmentAnswer,
    openapi_extra=_IMAGE_BODY,
    summary="Label an image in one call",
)
async def segment_once(
    request: Request,
    classes: Annotated[str, Query(examples=["car, road, person|rider"])],
    gains: Annotated[Gains, Depends(gains_in_query)],
    background: Annotated[str | None, Query()] = None,
    threshold: Annotated[float | None, Query(ge=0, le=1)] = None,
    method: Annotated[str | None, Query()] = None,
    lht: Annotated[bool | None, Query()] = None,
    model: Annotated[str | None, Query()] = None,
    include: Annotated[str, Query(description="Any of labels, overlay, polygons, rle.")] = "labels",
) -> SegmentAnswer:
    """Label an image without keeping it; the image is the body, everything else is in the query."""
    service = service_of(request)
    parts = [part.strip() for part in include.split(",") if part.strip()]
    try:
        asked = SegmentRequest.model_validate(
            {
                "classes": classes,
                "background": background,
                "threshold": threshold,
                "method": method,
                "lht": lht,
                "gains": gains,
                "model": model,
                "include": parts,
            }
        )
    except ValueError as error:
        raise Problem(
            422,
            "parameters",
            f"include takes labels, overlay, polygons and rle; got {include[:100]!r}.",
        ) from error
    data = await image_bytes(request)

    async def work() -> SegmentAnswer:
        result, seconds = await service.once(data, asked)
        return await service.aside(
            lambda: describe(result, asked.include, identifier=None, seconds=seconds)
        )

    return await unless_gone(request, work())


@router.get("/methods", operation_id="list_methods", summary="List the methods")
async def list_methods(request: Request) -> dict[str, Any]:
    """List the methods that an image can be encoded with, and the gains in use by default."""
    service = service_of(request)
    base = service.variants.base
    return {
        "default": base.encoder.method.name,
        "gains": gains_of(base.windows, base.decoding, service.settings.aliases),
        "atr_by": ["hoyer", "channels"] if base.checkpoint.preset.channels else ["hoyer"],
        "methods": [{"name": name, "source": each.source} for name, each in METHODS.items()],
    }


@router.get("/models", operation_id="list_models", summary="List the models")
async def list_models(request: Request) -> dict[str, Any]:
    """List the models that this server runs; the first is the default."""
    fingerprints = service_of(request).fingerprints
    return {
        "models": [{"name": name, "fingerprint": each} for name, each in fingerprints.items()],
        "success": True,  # this and `data` are what X-AnyLabeling's client reads
        "data": {name: _card(name) for name in fingerprints},
    }


@router.get("/examples", operation_id="list_examples", summary="List the bundled scenes")
async def list_examples() -> dict[str, Any]:
    """List the scenes that come with the package, with the classes in each."""
    return {
        "examples": [
            {"name": scene.name, "classes": ["|".join(names) for names in scene.classes]}
            for scene in bundled_scenes()
        ]
    }


@router.get("/examples/{name}", operation_id="example", summary="Return a bundled scene")
async def example(name: str) -> Response:
    """Return one of the scenes that come with the package, to try the page with."""
    for scene in bundled_scenes():
        if scene.name == name:
            return Response(await asyncio.to_thread(scene.image.read_bytes), media_type="image/png")
    raise Problem(404, "no-example", f"There is no scene {name[:100]!r}. See /v1/examples.")


@router.get("/version", operation_id="version", summary="Name the version")
async def version() -> dict[str, str]:
    """Name the version of the package."""
    return {"lhtclip": __version__}


async def _labelled(
    request: Request,
    identifier: str,
    asked: SegmentRequest,
    form: Callable[[Segmentation, dict[str, float]], T],
) -> T:
    """Label a kept image and build the response."""
    service = service_of(request)
    stored = service.store.get(identifier)
    vocabulary, variant = service.vocabulary(asked), service.variant(asked)

    async def work() -> T:
        begun = variant not in stored.encoded
        encoded = await service.encoded(stored, variant)
        result, seconds = await service.label(encoded, vocabulary, asked, begun=begun)
        return await service.aside(lambda: form(result, seconds))

    return await unless_gone(request, work())


def _card(name: str) -> dict[str, Any]:
    """Describe the model in the form in which X-AnyLabeling lists it."""
    return {
        "display_name": f"lhtclip ({name})",
        "widgets": [
            {"name": "edit_text", "value": ""},
            {"name": "edit_conf", "value": 0.0},
            {"name": "button_send", "value": None},
        ],
        "params": {"conf_threshold": 0.0},
        "batch_processing_mode": "text_prompt",
    }
