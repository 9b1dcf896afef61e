"""Names of models elsewhere, and their names here."""

from __future__ import annotations

import os
import re

from lhtclip.errors import UnknownNameError

# Prefixes that other programs put before a hub id.
_BEFORE = re.compile(r"^(hf[-_]hub:|hf://(models/)?|(https?://)?(www\.)?huggingface\.co/)", re.I)
_BEHIND = re.compile(r"/(tree|blob|resolve)/.*$|/+$")
_RESNET = re.compile(r"^(openai/)?RN\d+(x\d+)?(-quickgelu)?$", re.I)
_ARCHITECTURE = re.compile(r"^(ViT|EVA02|PE-Core)[-_][^/]*/[^/]*$", re.I)
_NAMES = {  # names of OpenAI's models by OpenAI, OpenCLIP and the hub, in lower case
    f"{before}{name}": ours
    for before in ("", "openai/", "openai:", "clip-")
    for ours, names in {
        "ViT-B-32": ("vit-b/32", "vit-b-32-quickgelu", "vit-base-patch32", "vit-b32"),
        "ViT-B-16": ("vit-b/16", "vit-b-16-quickgelu", "vit-base-patch16", "vit-b16"),
        "ViT-L-14": ("vit-l/14", "vit-l-14-quickgelu", "vit-large-patch14", "vit-l14"),
        "ViT-L-14-336": (
            *("vit-l/14@336px", "vit-l/14@336", "vit-l-14@336px", "vit-l-14-336px"),
            *("vit-l-14-336-quickgelu", "vit-large-patch14-336", "vit-l/14-336"),
        ),
    }.items()
    for name in (*names, ours.lower())
}


def known_as(name: str) -> str:
    """Return the name of a model here; unknown names stay as they are.

    Raises:
        UnknownNameError: It names a CLIP with a ResNet, which cannot be read.
    """
    if os.path.exists(name):
        return name
    name = name.strip()
    if _RESNET.match(name):
        raise UnknownNameError(
            f"{name} is a CLIP with a ResNet, which has no patch tokens; choose one with a vision "
            "transformer, such as ViT-B-16."
        )
    if before := _BEFORE.match(name):
        name = _BEHIND.sub("", name[before.end() :])
    found = _NAMES.get(name.lower().removesuffix("/openai"), name)
    # OpenCLIP's pair of architecture and weights is no hub id: as one name, its nearest is found.
    return found.replace("/", "-") if _ARCHITECTURE.match(found) else found
