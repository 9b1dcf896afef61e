"""The models with a short name: where they are, and what their licences allow."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

BUNDLED = "bundled"
_logger = logging.getLogger("lhtclip")

MIT, APACHE, CC = "MIT", "Apache-2.0", "Creative Commons"
CC_BY_NC, APPLE = "CC-BY-NC-4.0", "Apple AMLR"
# Licences that do not allow every use, and what they limit.
LIMITS: dict[str, str] = {
    CC_BY_NC: "no commercial use",
    APPLE: "research only",
    CC: "which uses it allows is not said",
}
QUICK_GELU, GELU = "quick_gelu", "gelu"


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model with a short name.

    Attributes:
        name: How users call it.
        hub_id: "organisation/model"; empty for the bundled one.
        note: Who trained it or on what, and the number of its parameters.
        licence: Of the weights, as published with them.
        file: Where the hub has bare weights, with OpenAI's names of tensors and no configuration:
            their file. Otherwise the files are those of a layout, and it is "".
        activation: Of bare weights, which cannot tell it; as their authors load them.
    """

    name: str
    hub_id: str
    note: str
    licence: str
    file: str = ""
    activation: str = ""

    @property
    def address(self) -> str:
        """The hub id, followed by the file of bare weights: one for each model."""
        return f"{self.hub_id}/{self.file}" if self.file else self.hub_id

    @property
    def limits(self) -> str:
        """What the licence forbids, in a few words; "" if nothing much."""
        return LIMITS.get(self.licence, "")


KNOWN_MODELS: tuple[KnownModel, ...] = (
    KnownModel(BUNDLED, "", "small, bundled; knows only scenes of emoji", APACHE),
    KnownModel("ViT-B-16", "openai/clip-vit-base-patch16", "OpenAI, 150 M", MIT),
    KnownModel("ViT-B-32", "openai/clip-vit-base-patch32", "OpenAI, 151 M", MIT),
    KnownModel("ViT-L-14", "openai/clip-vit-large-patch14", "OpenAI, 428 M", MIT),
    KnownModel("ViT-L-14-336", "openai/clip-vit-large-patch14-336", "OpenAI, 428 M, 336 px", MIT),
    KnownModel("ViT-B-16-laion2b", "laion/CLIP-ViT-B-16-laion2B-s34B-b88K", "LAION-2B, 150 M", MIT),
    KnownModel("ViT-B-32-laion2b", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "LAION-2B, 151 M", MIT),
    KnownModel("ViT-L-14-laion2b", "laion/CLIP-ViT-L-14-laion2B-s32B-b82K", "LAION-2B, 428 M", MIT),
    KnownModel("ViT-H-14-laion2b", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K", "LAION-2B, 986 M", MIT),
    KnownModel(
        "ViT-g-14-laion2b", "laion/CLIP-ViT-g-14-laion2B-s34B-b88K", "LAION-2B, 1367 M", MIT
    ),
    KnownModel(
        "ViT-bigG-14-laion2b", "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k", "LAION-2B, 2540 M", MIT
    ),
    KnownModel(
        "ViT-B-16-datacomp", "laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K", "DataComp-1B, 150 M", MIT
    ),
    KnownModel(
        "ViT-L-14-datacomp", "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K", "DataComp-1B, 428 M", MIT
    ),
    KnownModel("ViT-B-16-dfn2b", "apple/DFN2B-CLIP-ViT-B-16", "DFN-2B, 150 M", APPLE),
    KnownModel("ViT-L-14-dfn2b", "apple/DFN2B-CLIP-ViT-L-14", "DFN-2B, 428 M", APPLE),
    KnownModel("ViT-H-14-dfn5b", "apple/DFN5B-CLIP-ViT-H-14", "DFN-5B, 986 M", APPLE),
    KnownModel(
        "ViT-H-14-378-dfn5b", "apple/DFN5B-CLIP-ViT-H-14-378", "DFN-5B, 987 M, 378 px", APPLE
    ),
    KnownModel(
        "ViT-B-16-metaclip",
        "timm/vit_base_patch16_clip_224.metaclip_2pt5b",
        "MetaCLIP-2.5B, 150 M",
        CC_BY_NC,
    ),
    KnownModel(
        "ViT-L-14-metaclip",
        "timm/vit_large_patch14_clip_224.metaclip_2pt5b",
        "MetaCLIP-2.5B, 428 M",
        CC_BY_NC,
    ),
    KnownModel(
        "ViT-H-14-metaclip",
        "timm/vit_huge_patch14_clip_224.metaclip_2pt5b",
        "MetaCLIP-2.5B, 986 M",
        CC_BY_NC,
    ),
    KnownModel(
        "ViT-B-16-metaclip2", "facebook/metaclip-2-worldwide-b16", "MetaCLIP 2, 586 M", CC_BY_NC
    ),
    KnownModel(
        "ViT-L-14-metaclip2", "facebook/metaclip-2-worldwide-l14", "MetaCLIP 2, 1082 M", CC_BY_NC
    ),
    KnownModel(
        "ViT-H-14-metaclip2",
        "facebook/metaclip-2-worldwide-huge-quickgelu",
        "MetaCLIP 2, 1859 M",
        CC_BY_NC,
    ),
    KnownModel(
        "ViT-bigG-14-metaclip2",
        "facebook/metaclip-2-worldwide-giant",
        "MetaCLIP 2, 3630 M",
        CC_BY_NC,
    ),
    KnownModel(
        "EVA02-B-16",
        "timm/eva02_base_patch16_clip_224.merged2b_s8b_b131k",
        "EVA02-CLIP, Merged-2B, 150 M",
        MIT,
    ),
    KnownModel(
        "EVA02-L-14",
        "timm/eva02_large_patch14_clip_224.merged2b_s4b_b131k",
        "EVA02-CLIP, Merged-2B, 428 M",
        MIT,
    ),
    KnownModel(
        "EVA02-L-14-336",
        "timm/eva02_large_patch14_clip_336.merged2b_s6b_b61k",
        "EVA02-CLIP, Merged-2B, 428 M, 336 px",
        MIT,
    ),
    KnownModel(
        "BiomedCLIP",
        "microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224",
        "biomedical images, 196 M; made for research",
        MIT,
    ),
    KnownModel(
        "ViT-B-16-chinese", "OFA-Sys/chinese-clip-vit-base-patch16", "Chinese-CLIP, 188 M", MIT
    ),
    KnownModel(
        "ViT-L-14-chinese", "OFA-Sys/chinese-clip-vit-large-patch14", "Chinese-CLIP, 406 M", MIT
    ),
    KnownModel(
        "ViT-H-14-chinese", "OFA-Sys/chinese-clip-vit-huge-patch14", "Chinese-CLIP, 958 M", MIT
    ),
    KnownModel("ViT-B-16-siglip", "google/siglip-base-patch16-224", "SigLIP, 203 M", APACHE),
    KnownModel(
        "ViT-L-16-siglip", "google/siglip-large-patch16-256", "SigLIP, 652 M, 256 px", APACHE
    ),
    KnownModel(
        "ViT-SO400M-14-siglip", "google/siglip-so400m-patch14-384", "SigLIP, 878 M, 384 px", APACHE
    ),
    KnownModel("ViT-B-16-siglip2", "google/siglip2-base-patch16-224", "SigLIP 2, 375 M", APACHE),
    KnownModel(
        "ViT-L-16-siglip2", "google/siglip2-large-patch16-256", "SigLIP 2, 882 M, 256 px", APACHE
    ),
    KnownModel(
        "ViT-SO400M-14-siglip2",
        "google/siglip2-so400m-patch14-384",
        "SigLIP 2, 1136 M, 384 px",
        APACHE,
    ),
    KnownModel(
        "ViT-SO400M-16-siglip2",
        "google/siglip2-so400m-patch16-512",
        "SigLIP 2, 1137 M, 512 px",
        APACHE,
    ),
    KnownModel(
        "ViT-g-16-siglip2",
        "google/siglip2-giant-opt-patch16-384",
        "SigLIP 2, 1872 M, 384 px",
        APACHE,
    ),
    KnownModel("ViT-B-14-tipsv2", "google/tipsv2-b14", "TIPSv2, 196 M, 448 px", APACHE),
    KnownModel("ViT-L-14-tipsv2", "google/tipsv2-l14", "TIPSv2, 488 M, 448 px", APACHE),
    KnownModel("ViT-SO400M-14-tipsv2", "google/tipsv2-so400m14", "TIPSv2, 862 M, 448 px", APACHE),
    KnownModel("ViT-g-14-tipsv2", "google/tipsv2-g14", "TIPSv2, 1525 M, 448 px", APACHE),
    KnownModel("ViT-T-16-pe", "timm/PE-Core-T-16-384", "PE-Core, 70 M, 384 px", APACHE),
    KnownModel("ViT-S-16-pe", "timm/PE-Core-S-16-384", "PE-Core, 87 M, 384 px", APACHE),
    KnownModel("ViT-B-16-pe", "timm/PE-Core-B-16", "PE-Core, 448 M", APACHE),
    KnownModel("ViT-L-14-pe", "timm/PE-Core-L-14-336", "PE-Core, 671 M, 336 px", APACHE),
    KnownModel("ViT-G-14-pe", "timm/PE-Core-bigG-14-448", "PE-Core, 2419 M, 448 px", APACHE),
    KnownModel(
        "ViT-B-32-georsclip",
        "Zilun/GeoRSCLIP",
        "aerial images, 151 M",
        CC,
        "ckpt/RS5M_ViT-B-32.pt",
        QUICK_GELU,
    ),
    KnownModel(
        "ViT-H-14-georsclip",
        "Zilun/GeoRSCLIP",
        "aerial images, 986 M",
        CC,
        "ckpt/RS5M_ViT-H-14.pt",
        GELU,
    ),
    KnownModel(
        "ViT-B-32-farslip1",
        "ZhenShiL/FarSLIP",
        "aerial images, 151 M",
        MIT,
        "FarSLIP1_ViT-B-32.pt",
        QUICK_GELU,
    ),
    KnownModel(
        "ViT-B-16-farslip1",
        "ZhenShiL/FarSLIP",
        "aerial images, 150 M",
        MIT,
        "FarSLIP1_ViT-B-16.pt",
        QUICK_GELU,
    ),
    KnownModel(
        "ViT-B-32-farslip2",
        "ZhenShiL/FarSLIP",
        "aerial images, 151 M",
        MIT,
        "FarSLIP2_ViT-B-32.pt",
        QUICK_GELU,
    ),
    KnownModel(
        "ViT-B-16-farslip2",
        "ZhenShiL/FarSLIP",
        "aerial images, 150 M",
        MIT,
        "FarSLIP2_ViT-B-16.pt",
        QUICK_GELU,
    ),
    KnownModel(
        "ViT-B-32-remoteclip",
        "chendelong/RemoteCLIP",
        "aerial images, 151 M",
        APACHE,
        "RemoteCLIP-ViT-B-32.pt",
        GELU,
    ),
    KnownModel(
        "ViT-L-14-remoteclip",
        "chendelong/RemoteCLIP",
        "aerial images, 428 M",
        APACHE,
        "RemoteCLIP-ViT-L-14.pt",
        GELU,
    ),
)
SHORT_NAMES: dict[str, str] = {
    model.name: model.address for model in KNOWN_MODELS if model.name != BUNDLED
}


BARE_WEIGHTS: dict[str, KnownModel] = {model.address: model for model in KNOWN_MODELS if model.file}


def stated_activation(path: Path) -> str:
    """Return the activation of a file that is named like known bare weights; "" for any other."""
    stated = {Path(model.file).name: model.activation for model in BARE_WEIGHTS.values()}
    return stated.get(path.name, "")


def say_limits(address: str) -> None:
    """Warn before a download if the licence of the weights limits what they may be used for."""
    for model in KNOWN_MODELS:
        if model.address == address and model.limits:
            _logger.warning(
                "The weights of %s are under the licence %s: %s. Read it on the model's page.",
                address,
                model.licence,
                model.limits,
            )
