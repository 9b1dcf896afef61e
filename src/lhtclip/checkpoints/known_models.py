"""The models with a short name: where they are, and what their licences allow."""

from __future__ import annotations

import logging
from dataclasses import dataclass

BUNDLED = "bundled"
_logger = logging.getLogger("lhtclip")

MIT, APACHE = "MIT", "Apache-2.0"
CC_BY_NC, APPLE = "CC-BY-NC-4.0", "Apple AMLR"
# Licences that do not allow every use, and what they limit.
LIMITS: dict[str, str] = {
    CC_BY_NC: "no commercial use",
    APPLE: "research only",
}


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model with a short name.

    Attributes:
        name: How users call it.
        hub_id: "organisation/model"; empty for the bundled one.
        note: Who trained it, on what, and its size.
        licence: Of the weights, as published with them.
    """

    name: str
    hub_id: str
    note: str
    licence: str

    @property
    def limits(self) -> str:
        """What the licence forbids, in a few words; "" if nothing much."""
        return LIMITS.get(self.licence, "")


KNOWN_MODELS: tuple[KnownModel, ...] = (
    KnownModel(BUNDLED, "", "small, bundled; knows only scenes of emoji", APACHE),
    KnownModel("ViT-B-16", "openai/clip-vit-base-patch16", "OpenAI, 150 M parameters", MIT),
    KnownModel("ViT-B-32", "openai/clip-vit-base-patch32", "OpenAI, 151 M parameters", MIT),
    KnownModel("ViT-L-14", "openai/clip-vit-large-patch14", "OpenAI, 428 M parameters", MIT),
    KnownModel("ViT-L-14-336", "openai/clip-vit-large-patch14-336", "OpenAI, 428 M, 336 px", MIT),
    KnownModel(
        "ViT-B-16-laion2b",
        "laion/CLIP-ViT-B-16-laion2B-s34B-b88K",
        "LAION-2B, 150 M parameters",
        MIT,
    ),
    KnownModel(
        "ViT-B-32-laion2b",
        "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
        "LAION-2B, 151 M parameters",
        MIT,
    ),
    KnownModel(
        "ViT-L-14-laion2b",
        "laion/CLIP-ViT-L-14-laion2B-s32B-b82K",
        "LAION-2B, 428 M parameters",
        MIT,
    ),
    KnownModel(
        "ViT-H-14-laion2b",
        "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
        "LAION-2B, 986 M parameters",
        MIT,
    ),
    KnownModel(
        "ViT-B-16-datacomp",
        "laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K",
        "DataComp-1B, 150 M parameters",
        MIT,
    ),
    KnownModel(
        "ViT-L-14-datacomp",
        "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K",
        "DataComp-1B, 428 M parameters",
        MIT,
    ),
    KnownModel("ViT-B-16-dfn2b", "apple/DFN2B-CLIP-ViT-B-16", "DFN-2B, 150 M parameters", APPLE),
    KnownModel("ViT-L-14-dfn2b", "apple/DFN2B-CLIP-ViT-L-14", "DFN-2B, 428 M parameters", APPLE),
    KnownModel(
        "ViT-B-16-metaclip",
        "timm/vit_base_patch16_clip_224.metaclip_2pt5b",
        "MetaCLIP-2.5B, 150 M parameters",
        CC_BY_NC,
    ),
    KnownModel(
        "ViT-L-14-metaclip",
        "timm/vit_large_patch14_clip_224.metaclip_2pt5b",
        "MetaCLIP-2.5B, 428 M parameters",
        CC_BY_NC,
    ),
    KnownModel(
        "ViT-B-16-siglip", "google/siglip-base-patch16-224", "SigLIP, 203 M parameters", APACHE
    ),
    KnownModel(
        "ViT-L-16-siglip",
        "google/siglip-large-patch16-256",
        "SigLIP, 652 M parameters, 256 px",
        APACHE,
    ),
    KnownModel(
        "ViT-B-16-siglip2",
        "google/siglip2-base-patch16-224",
        "SigLIP 2, 375 M parameters",
        APACHE,
    ),
    KnownModel(
        "ViT-L-16-siglip2",
        "google/siglip2-large-patch16-256",
        "SigLIP 2, 882 M parameters, 256 px",
        APACHE,
    ),
)
SHORT_NAMES: dict[str, str] = {
    model.name: model.hub_id for model in KNOWN_MODELS if model.name != BUNDLED
}


def say_limits(hub_id: str) -> None:
    """Warn before a download if the licence of the weights limits what they may be used for."""
    for model in KNOWN_MODELS:
        if model.hub_id == hub_id and model.limits:
            _logger.warning(
                "The weights of %s are under the licence %s: %s. Read it on the model's page.",
                hub_id,
                model.licence,
                model.limits,
            )
