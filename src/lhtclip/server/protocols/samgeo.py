"""samgeo-api's text prompt (GeoLibre calls it): POST /segment/text.

Regions of a GeoTIFF are given in longitude and latitude, those of other images in pixels, y
downwards. What the prompt does not name is background: the words for it are chosen, as with
`--background auto`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile

from lhtclip.segmentation import Segmentation
from lhtclip.server.answers import labels_png, polygons
from lhtclip.server.problems import Problem
from lhtclip.server.protocols.georeference import Georeference, georeference_of, plain_geotiff
from lhtclip.server.requests import service_of, unless_gone
from lhtclip.server.schemas import SegmentRequest

router = APIRouter(tags=["samgeo-api"])


class Prompt(BaseModel):
    """The fields of the form besides the image; `model_version` and `backend` mean nothing here."""

    model_config = ConfigDict(extra="ignore")
    prompt: str = Field(examples=["tree, building"])
    confidence_threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    output_format: Literal["geojson", "geotiff", "png", "detections", "json"] = "geojson"
    min_size: int = 0
    max_size: int | None = None
    model_id: str | None = None


@router.get("/models", operation_id="samgeo_models", summary="samgeo-api: list the models")
async def models(request: Request) -> dict[str, Any]:
    """List the models of this server."""
    names = list(service_of(request).variants.models)
    return {"models": {"lhtclip": names}, "loaded": [["lhtclip", name] for name in names]}


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
                        **Prompt.model_json_schema()["properties"],
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
        # browsers and Swagger send empty strings for what was left out
        fields = {name: value for name, value in form.items() if isinstance(value, str) and value}
        file = form.get("file")
        data = await file.read() if isinstance(file, UploadFile) else None
    if data is None or "prompt" not in fields:
        raise Problem(422, "form", "The form needs an image in `file` and class names in `prompt`.")
    asked = _prompt(fields)
    question = SegmentRequest.model_validate(
        {
            "classes": asked.prompt,
            "background": "auto",
            "threshold": asked.confidence_threshold,
            "model": asked.model_id if asked.model_id in service.variants.models else None,
        }
    )
    result, _ = await unless_gone(request, service.once(data, question))
    return await service.aside(lambda: _answer(result, asked, georeference_of(data)))


def _prompt(fields: dict[str, str]) -> Prompt:
    try:
        return Prompt.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise Problem(422, "form", f"{first['loc'][0]}: {first['msg']}."[:500]) from error


def _answer(result: Segmentation, asked: Prompt, place: Georeference | None) -> Response:
    if asked.output_format == "png":
        return Response(labels_png(result.labels), media_type="image/png")
    if asked.output_format == "geotiff":
        content = place.geotiff(result.labels) if place else plain_geotiff(result.labels)
        return Response(content, media_type="image/tiff")
    most = asked.max_size if asked.max_size and asked.max_size > 0 else float("inf")
    regions = [each for each in polygons(result) if asked.min_size <= each["area"] <= most]
    if asked.output_format == "json":
        height, width = result.labels.shape
        found = [_detection(number, each) for number, each in enumerate(regions, start=1)]
        return JSONResponse(
            {
                "image_width": width,
                "image_height": height,
                "num_detections": len(found),
                "detections": found,
            }
        )
    boxes = asked.output_format == "detections"
    features = [
        _feature(number, each, place, box=boxes) for number, each in enumerate(regions, start=1)
    ]
    more = {"num_detections": len(features)} if boxes else {}
    return JSONResponse({"type": "FeatureCollection", "features": features, **more})


def _feature(
    number: int, region: dict[str, Any], place: Georeference | None, *, box: bool
) -> dict[str, Any]:
    left, top, right, bottom = _box(region)
    outline = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    rings = [outline] if box else region["rings"]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": place.degrees(rings) if place else rings},
        "properties": {
            "id": number,
            "class": region["class"],
            "score": region["score"],
            "area": region["area"],
            "bbox_pixel": [left, top, right, bottom],
        },
    }


def _detection(number: int, region: dict[str, Any]) -> dict[str, Any]:
    left, top, right, bottom = _box(region)
    return {
        "id": number,
        "bbox": [left, top, right, bottom],
        "width": right - left,
        "height": bottom - top,
        "score": region["score"],
        "class": region["class"],
    }


def _box(region: dict[str, Any]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of a region, as pixel edges."""
    across, down = zip(*region["rings"][0], strict=True)
    return min(across), min(down), max(across), max(down)
