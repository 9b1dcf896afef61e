"""Schemas of requests and responses, as shown in the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Side = Annotated[int, Field(ge=32, le=2048)]
Part = Literal["labels", "overlay", "polygons", "rle"]
Refiner = Literal["none", "pamr", "tlp"]
Aliases = Literal["none", "given", "common"]


class Strict(BaseModel):
    """Refuses unknown fields and other types, so that a mistake does not go unnoticed."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Techniques(Strict):
    """LHT-CLIP's techniques, each on, off, or (null) as the server was started."""

    ssr: bool | None = None
    atr: bool | Literal["hoyer", "channels"] | None = Field(
        None, description="A name switches ATR on and says how it finds abnormal tokens."
    )
    she: bool | None = None


class Gains(Strict):
    """What raises mIoU without training, each null for as the server was started."""

    refine: Refiner | None = Field(None, description="Refine the logits along the image.")
    prior: float | None = Field(
        None, ge=-1, lt=1, description="Weight of what the whole image shows."
    )
    flip: bool | None = Field(None, description="Average with mirrored windows; twice the time.")
    shifts: int | None = Field(
        None, ge=1, le=4, description="Average windows at this many positions within a patch."
    )
    short_side: list[Side] | None = Field(
        None, min_length=1, max_length=4, description="Shorter sides in pixels; several average."
    )
    joint: bool | None = Field(None, description="Windows see each other in the last block.")
    calibrate_texts: bool | None = Field(
        None, description="Move prompts towards the patches that they surely match."
    )
    aliases: Aliases | None = Field(
        None, description="All prompts of a class count together, also those of a common list."
    )


class Classes(Strict):
    """The classes, and how an image is encoded."""

    classes: str | list[str | list[str]] = Field(
        examples=["car, road, person|rider"],
        description="Names with commas between classes and | between synonyms, or a list.",
    )
    background: str | list[str] | None = Field(
        None,
        description="Prompts for pixels of no class; they become class 0. 'auto' chooses them.",
    )
    threshold: Share | None = Field(
        None, description="Pixels whose winner scores less become background."
    )
    method: str | None = Field(None, description="A name in /v1/methods; null for the default.")
    lht: bool | Techniques | None = Field(
        None, description="All techniques on or off, or each alone; null for the default."
    )
    gains: Gains | None = Field(None, description="Gains without training; null for the default.")
    model: str | None = Field(None, description="A name in /v1/models; null for the first.")


class SegmentRequest(Classes):
    """Ask for the classes of every pixel."""

    include: list[Part] = Field(["labels"], description="What else the answer contains.")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"classes": "cat, dog, grass|lawn", "include": ["labels", "polygons"]}]
        },
    )


class ProbeRequest(Classes):
    """Ask for the classes at one pixel."""

    x: int = Field(ge=0, description="Column, 0 at the left.")
    y: int = Field(ge=0, description="Row, 0 at the top.")
    k: int = Field(5, ge=1, le=100, description="How many classes, best first.")


class ViewRequest(Strict):
    """Ask for what the techniques see."""

    kind: Literal["hoyer", "similarity"]
    x: int = Field(0, ge=0)
    y: int = Field(0, ge=0)
    method: str | None = None
    lht: bool | Techniques | None = None
    gains: Gains | None = None
    model: str | None = None


class ImageAnswer(BaseModel):
    """An image that is kept encoded."""

    id: str
    width: int
    height: int
    expires_in: float = Field(description="Seconds after its last use until it expires.")


class ClassAnswer(BaseModel):
    """One class of a result."""

    index: int
    name: str
    colour: str = Field(examples=["#1f77d0"])
    share: Share = Field(description="Share of all pixels.")
    score: float | None = Field(description="Mean probability over its pixels; null without any.")


class SegmentAnswer(BaseModel):
    """The classes of every pixel."""

    id: str | None
    width: int
    height: int
    background: int | None
    classes: list[ClassAnswer]
    labels: str | None = Field(None, description="Greyscale PNG of class indices, base64.")
    overlay: str | None = Field(None, description="JPEG, base64.")
    polygons: list[dict[str, object]] | None = None
    rle: list[dict[str, object]] | None = None
    seconds: dict[str, float] = Field(description="Time of each stage.")


class Candidate(BaseModel):
    """One class at one pixel."""

    name: str
    probability: Share


class ProbeAnswer(BaseModel):
    """The best classes at one pixel."""

    x: int
    y: int
    classes: list[Candidate]


class ViewAnswer(BaseModel):
    """A map at the resolution of the patches."""

    kind: str
    rows: int
    columns: int
    lowest: float
    highest: float
    values: list[list[float]] = Field(description="Rows of values from 0 to 1.")


class ProblemAnswer(BaseModel):
    """A refusal, as in RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
