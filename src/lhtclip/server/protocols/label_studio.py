"""Label Studio's ML backend: GET /health, POST /setup, POST /predict.

Images arrive as data URLs, or as paths on the trusted Label Studio server (`--label-studio URL`);
nothing else is fetched. Label Studio accepts results of the wrong type and then its editor breaks,
so the labelling configuration is checked here.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict

from lhtclip import __version__
from lhtclip.server.problems import Problem
from lhtclip.server.protocols.label_studio_files import files_of
from lhtclip.server.requests import service_of, unless_gone
from lhtclip.server.schemas import SegmentRequest
from lhtclip.server.service import Service

router = APIRouter(tags=["Label Studio"])


class Setup(BaseModel):
    """Label Studio introduces a project."""

    model_config = ConfigDict(extra="ignore")
    project: str = ""


class Predict(BaseModel):
    """Label Studio asks for predictions."""

    model_config = ConfigDict(extra="ignore")
    tasks: list[dict[str, Any]]
    label_config: str


@dataclass(frozen=True, slots=True)
class Control:
    """The parts of a labelling configuration that predictions need.

    Attributes:
        from_name: Name of the BrushLabels tag.
        to_name: Name of the Image tag.
        field: Field of a task's data that holds the image.
        labels: Names of the classes.
    """

    from_name: str
    to_name: str
    field: str
    labels: tuple[str, ...]


@router.get("/health", operation_id="backend_health", summary="Label Studio, samgeo-api: alive?")
async def health() -> dict[str, str]:
    """Report that the backend is alive: samgeo-api's clients want "ok", Label Studio any answer."""
    return {"status": "ok", "version": __version__, "model_class": "lhtclip"}


@router.post("/setup", operation_id="label_studio_setup", summary="Label Studio: introduce")
async def setup(request: Request, asked: Setup) -> dict[str, str]:
    """Return the version of the predictions; Label Studio skips tasks that have it."""
    return {"model_version": service_of(request).fingerprint}


@router.post("/predict", operation_id="label_studio_predict", summary="Label Studio: predict")
async def predict(request: Request, asked: Predict) -> dict[str, Any]:
    """Label the images of tasks with the labels of the configuration."""
    service, control = service_of(request), control_of(asked.label_config)
    version = service.fingerprint
    question = SegmentRequest.model_validate({"classes": [[label] for label in control.labels]})
    results: list[dict[str, Any]] = []
    for task in asked.tasks[:100]:
        data = await asyncio.to_thread(_image, service, task, control)
        result, _ = await unless_gone(request, service.once(data, question))
        own = result.to_label_studio(image="", model_version=version)["predictions"][0]["result"]
        names = {"from_name": control.from_name, "to_name": control.to_name}
        regions = [each | names for each in own]
        score = float(result.scores.mean())
        results.append({"result": regions, "score": score, "model_version": version})
    return {"results": results}


def control_of(config: str) -> Control:
    """Find the BrushLabels tag of a labelling configuration and its image.

    Raises:
        Problem: The configuration is unreadable, or has no BrushLabels for an Image.
    """
    if len(config) > 100_000 or "<!" in config.replace("<!--", ""):
        raise Problem(422, "label-config", "The labelling configuration is too long or has a DTD.")
    try:
        root = ElementTree.fromstring(config)  # noqa: S314 # nosec B314
    except ElementTree.ParseError as error:
        raise Problem(422, "label-config", f"The labelling configuration: {error}.") from error
    images = {
        each.get("name", ""): each.get("value", "").lstrip("$") for each in root.iter("Image")
    }
    for tag in root.iter("BrushLabels"):
        to_name = tag.get("toName", "")
        labels = tuple(each.get("value", "") for each in tag.iter("Label"))
        if to_name in images and all(labels) and labels:
            return Control(tag.get("name", ""), to_name, images[to_name], labels)
    raise Problem(
        422,
        "label-config",
        "The labelling configuration needs <BrushLabels toName=IMAGE> with <Label value=...> for "
        "an <Image>.",
    )


def _image(service: Service, task: dict[str, Any], control: Control) -> bytes:
    value = (task.get("data") or {}).get(control.field)
    if not isinstance(value, str):
        raise Problem(422, "task", f"The task has no image in {control.field[:100]!r}.")
    if value.startswith("data:"):
        try:
            return base64.b64decode(value.partition("base64,")[2], validate=True)
        except (ValueError, binascii.Error) as error:
            raise Problem(422, "task", "The task's data URL is not base64.") from error
    return _fetch(service, value)


def _fetch(service: Service, value: str) -> bytes:
    settings = service.settings
    if settings.label_studio is None:
        raise Problem(
            422,
            "task",
            "The task's image lies on a server. Start lhtclip with --label-studio URL to let it "
            "fetch images from there.",
        )
    files = files_of(settings.label_studio, settings.label_studio_token, settings.max_bytes)
    return files.get(value)
