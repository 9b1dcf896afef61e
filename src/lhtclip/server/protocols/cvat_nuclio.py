"""A CVAT function for its own serverless platform, Nuclio: `deploy/cvat-nuclio` builds it.

CVAT sends an image and reads shapes; its models page lists the function by the labels in
`function.yaml`, which have to be the classes in its environment:

- `LHTCLIP_CLASSES`, as for `lhtclip segment --classes`;
- `LHTCLIP_BACKGROUND`, prompts for what gets no shape;
- `LHTCLIP_MODEL`, as for `--model`;
- `LHTCLIP_LEAST_AREA`, below which regions are merged into their neighbours.
"""

from __future__ import annotations

import base64
import json
import os
from typing import Any

from lhtclip.segmenter import Segmenter
from lhtclip.text.vocabulary import Vocabulary


class Labeller:
    """Answers CVAT's requests with one model and one list of classes."""

    def __init__(self, segmenter: Segmenter, vocabulary: Vocabulary, least_area: int = 50) -> None:
        """Take the model and the classes.

        Args:
            segmenter: The model.
            vocabulary: The classes; the background gets no shape.
            least_area: Regions of fewer pixels are merged into their neighbours.
        """
        self._segmenter, self._vocabulary = segmenter, vocabulary
        self._least_area = least_area

    def shapes(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        """Return a mask and its outline for every connected region.

        Args:
            body: `image` in base64 and, optionally, `threshold`: regions that score less are left
                out.

        Raises:
            InputError: The image cannot be read.
        """
        least = float(body.get("threshold") or 0)
        result = self._segmenter.segment(base64.b64decode(body["image"]), self._vocabulary)
        regions = result.components(least_area=self._least_area)
        return [
            {
                "confidence": str(round(float(region.score), 4)),
                "label": result.names[region.label],
                "points": outline.keyhole().ravel().tolist(),
                "mask": _mask(region),
                "type": "mask",
            }
            for region, outline in zip(regions, regions.polygons(), strict=True)
            if region.label != result.background and region.score >= least
        ]


def init_context(context: Any) -> None:
    """Load the model; Nuclio calls this once for each worker."""
    vocabulary = Vocabulary.of(
        os.environ["LHTCLIP_CLASSES"], background=os.environ.get("LHTCLIP_BACKGROUND") or None
    )
    context.user_data.labeller = Labeller(
        Segmenter.from_pretrained(os.environ.get("LHTCLIP_MODEL", "ViT-B-16")),
        vocabulary,
        int(os.environ.get("LHTCLIP_LEAST_AREA", "50")),
    )


def handler(context: Any, event: Any) -> Any:
    """Answer one request of CVAT's."""
    body = event.body if isinstance(event.body, dict) else json.loads(event.body)
    shapes = context.user_data.labeller.shapes(body)
    return context.Response(
        body=json.dumps(shapes), headers={}, content_type="application/json", status_code=200
    )


def _mask(region: Any) -> list[int]:
    """Return the mask in its box, row by row, then the box with its last pixels included."""
    left, top, width, height = region.box
    box = (left, top, left + width - 1, top + height - 1)
    return [*region.mask.astype(int).ravel().tolist(), *map(int, box)]
