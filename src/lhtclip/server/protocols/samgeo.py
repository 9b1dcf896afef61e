"""samgeo-api's text prompt (GeoLibre and QGIS plug-ins call it): POST /segment/text.

The image has no coordinates here, so regions are given in pixels, y downwards; for rasters with
coordinates see `lhtclip raster`.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.datastructures import UploadFile

from lhtclip.server.answers import labels_png, polygons
from lhtclip.server.problems import Problem
from lhtclip.server.requests import service_of, unless_gone
from lhtclip.server.schemas import SegmentRequest

_FORMATS = ("geojson", "png", "json")
router = APIRouter(tags=["samgeo-api"])


@router.get("/models", operation_id="samgeo_models", summary="samgeo-api: list the models")
async def models(request: Request) -> dict[str, Any]:
    """List the one model of this server."""
    return {"models": [service_of(request).variants.base.checkpoint.name]}


_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "prompt"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "prompt": {"type": "string", "examples": ["tree, building"]},
                        "confidence_threshold": {"type": "number", "minimum": 0, "maximum": 1},
                        "output_format": {"enum": list(_FORMATS), "default": "geojson"},
                    },
                }
            }
        },
    }
}


@router.post(
    "/segment/text",
    openapi_extra=_FORM,
    operation_id="samgeo_text",
    summary="samgeo-api: segment by prompt",
    response_class=Response,
)
async def segment_text(request: Request) -> Response:
    """Label a form's `file` by its `prompt`; everything else is background."""
    service = service_of(request)
    async with request.form(max_files=1, max_fields=20) as form:
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        file = form.get("file")
        data = await file.read() if isinstance(file, UploadFile) else None
    prompt, wanted = fields.get("prompt"), fields.get("output_format") or "geojson"
    if data is None or prompt is None:
        raise Problem(422, "form", "The form needs an image in `file` and class names in `prompt`.")
    if wanted not in _FORMATS:
        raise Problem(
            422, "form", f"output_format must be one of {', '.join(_FORMATS)}; got {wanted[:50]!r}."
        )
    threshold = _share(fields.get("confidence_threshold"))
    asked = SegmentRequest.model_validate({"classes": prompt, "threshold": threshold})
    result, _ = await unless_gone(request, service.once(data, asked))
    if wanted == "png":
        return Response(labels_png(result.labels), media_type="image/png")
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": each["rings"]},
            "properties": {"class": each["class"], "score": each["score"], "area": each["area"]},
        }
        for each in polygons(result)
        if each["class"] != "background"
    ]
    return JSONResponse({"type": "FeatureCollection", "features": features})


def _share(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise Problem(422, "form", f"confidence_threshold must be from 0 to 1, got {value[:50]!r}.")
    return share
