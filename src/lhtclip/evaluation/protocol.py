"""How a publication evaluates on a data set: one frozen record with every setting."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from lhtclip.decoding.decode import DecodeSettings
from lhtclip.errors import InputError
from lhtclip.image.windows import WindowSettings
from lhtclip.methods import Method, method_named
from lhtclip.methods.resclip import RcsSettings, resclip
from lhtclip.methods.resclip_feedback import SfrSettings, resclip_with_feedback
from lhtclip.text.vocabulary import Vocabulary, shipped_classes


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How a publication evaluates on a data set.

    dataset: Name of the data set.
    publication: A name in `PUBLICATIONS`.
    method: A name in `lhtclip.methods.METHODS`.
    residual, mlp: Whether it keeps the last block's residual connection and its MLP.
    lht: Whether SSR, ATR and SHE act, as the checkpoint's preset has them.
    class_list: Its words, a name in `SHIPPED_CLASS_LISTS`; None where the data set brings its own.
    background: Whether the first row of the class list is the background.
    templates: Name of the prompts that words are put into.
    windows: How images are resized and cut.
    decoding: How logits become labels.
    rcs, sfr: ResCLIP's borrowed attention and its feedback; None in other publications.
    source: Where the settings are found.
    notes: What is inferred, and what a reader of the published numbers should know; sentences.
    """

    dataset: str
    publication: str
    method: str
    residual: bool = False
    mlp: bool = False
    lht: bool = False
    class_list: str | None = None
    background: bool = False
    templates: str = "imagenet80"
    windows: WindowSettings
    decoding: DecodeSettings
    rcs: RcsSettings | None = None
    sfr: SfrSettings | None = None
    source: str
    notes: tuple[str, ...] = ()

    def vocabulary(self) -> Vocabulary:
        """Return the words of the class list; classes may share one, as published lists do.

        Raises:
            InputError: The publication has no words for this data set.
        """
        if self.class_list is None:
            raise InputError(
                f"{self.publication} was not published for {self.dataset}, so it has no words for "
                "it: use those of the data set."
            )
        rows = shipped_classes(self.class_list)
        return Vocabulary.of(
            rows[1:] if self.background else rows,
            background=rows[0] if self.background else None,
            allow_shared_queries=True,
        )

    def rule(self, method: str | None = None) -> Method:
        """Return a method, ResCLIP's with the settings of this data set.

        Args:
            method: Its name; None for the record's own.

        Raises:
            UnknownNameError: There is no such method.
        """
        method = method or self.method
        if method == "resclip" and self.rcs:
            return resclip(self.rcs)
        if method == "resclip-sfr" and self.rcs and self.sfr:
            return resclip_with_feedback(self.rcs, self.sfr)
        return method_named(method)

    def describe(self) -> dict[str, Any]:
        """Return every setting by its name, for reports, in types that JSON has."""
        content = asdict(self)
        del content["windows"]["batch"]  # changes no label
        if self.windows.window is None:
            content["windows"]["stride"] = None
        return json.loads(json.dumps(content))
