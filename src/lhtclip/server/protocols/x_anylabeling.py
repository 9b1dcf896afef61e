"""X-AnyLabeling's remote server: POST /v1/predict labels one image; GET /v1/models is shared.

Follows the protocol of its client: a header `Token`, the image as a data URL, the answer as
polygons. Its shapes have no holes, so a class that surrounds another is drawn first.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict

from lhtclip.server.answers import polygons
from lhtclip.server.problems import Problem
from lhtclip.server.requests import service_of, unless_gone
from lhtclip.server.schemas import SegmentRequest

router = APIRouter(prefix="/v1", tags=["X-AnyLabeling"])
_LEAST_AREA = 64  # pixels; smaller regions only clutter the annotator's list


class PredictRequest(BaseModel):
    """The client's request; parameters without a meaning here are ignored."""

    model_config = ConfigDict(extra="ignore")
    image: str
    model: str | None = None
    params: dict[str, Any] = {}


@router.post("/predict", operation_id="xanylabeling_predict", summary="X-AnyLabeling: label")
async def predict(request: Request, asked: PredictRequest) -> dict[str, Any]:
    """Label an image by `params.text_prompt`; classes are separated by commas or dots."""
    service = service_of(request)
    words = str(asked.params.get("text_prompt") or "").replace(".", ",").strip(" ,")
    if not words:
        raise Problem(422, "prompt", "Type class names into the prompt, such as 'car, road'.")
    threshold = asked.params.get("conf_threshold") or None
    question = SegmentRequest.model_validate(
        {"classes": words, "threshold": threshold, "model": asked.model}
    )
    try:
        data = base64.b64decode(asked.image.partition("base64,")[2] or asked.image, validate=True)
    except (ValueError, binascii.Error) as error:
        raise Problem(422, "image", "The image is not base64 of an image file.") from error
    result, _ = await unless_gone(request, service.once(data, question))
    regions = [each for each in polygons(result) if each["area"] >= _LEAST_AREA]
    shapes = [
        {
            "label": each["class"],
            "shape_type": "polygon",
            "points": each["rings"][0][:-1],
            "score": each["score"],
        }
        for each in sorted(regions, key=lambda each: -each["area"])
        if each["class"] != "background"
    ]
    # without "replace" the client's own switch decides whether older shapes stay
    return {"success": True, "data": {"shapes": shapes, "description": ""}}
