"""How a publication evaluates on a data set: one frozen record with every setting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from lhtclip.config import SegmenterConfig
from lhtclip.datasets.dataset import Dataset
from lhtclip.datasets.samples import own_vocabulary
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.errors import InputError
from lhtclip.files.json_files import plain_json
from lhtclip.image.windows import WindowSettings
from lhtclip.methods import Method, method_named
from lhtclip.text.aliases import with_aliases
from lhtclip.text.vocabulary import Vocabulary, shipped_classes


def _no_methods() -> Mapping[str, Method]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How a publication evaluates on a data set.

    Attributes:
        dataset: Name of the data set.
        publication: A name in `PUBLICATIONS`.
        method: The publication's own method, a name in `lhtclip.methods.METHODS`.
        residual: Whether the method keeps the last block's residual connection.
        mlp: Whether it keeps the last block's MLP.
        lht: Whether SSR, ATR and SHE are on, with the checkpoint's preset.
        class_list: Its class names, a name in `SHIPPED_CLASS_LISTS`; None if the data set has its
            own.
        background: Whether the first row of the class list is the background.
        background_words: Its words in place of the published ones, as for `Vocabulary.of`; None
            keeps these.
        aliases: What is added to the prompts of each class, as for `with_aliases`; None for
            nothing. Whether they count together is among the settings of `decoding`.
        templates: Name of the prompt templates.
        windows: How images are resized and cut.
        decoding: How logits become labels.
        methods: The methods that have settings of their own on this data set, by name.
        source: Where the settings were published.
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
    background_words: str | None = None
    aliases: str | None = None
    templates: str = "imagenet80"
    windows: WindowSettings
    decoding: DecodeSettings
    methods: Mapping[str, Method] = field(default_factory=_no_methods)
    source: str
    notes: tuple[str, ...] = ()

    def vocabulary(self, dataset: Dataset | None = None) -> Vocabulary:
        """Return the class names, with aliases if there are any: see `published_vocabulary`."""
        vocabulary = self.published_vocabulary(dataset)
        return vocabulary if self.aliases is None else with_aliases(vocabulary, self.aliases)

    def published_vocabulary(self, dataset: Dataset | None = None) -> Vocabulary:
        """Return the class names: the publication's, or the data set's own if it has none.

        Classes may share a name, as they do in published lists.

        Args:
            dataset: The data set; only needed for one that the publication does not know.

        Raises:
            InputError: The publication has no class names for this data set, and none was given.
        """
        if self.class_list is None:
            if dataset is None:
                raise InputError(
                    f"{self.publication} was not published for {self.dataset}, so it has no class "
                    "names for it: give the data set, which has its own."
                )
            return own_vocabulary(dataset)
        rows = shipped_classes(self.class_list)
        return Vocabulary.of(
            rows[1:] if self.background else rows,
            background=(self.background_words or rows[0]) if self.background else None,
            allow_shared_queries=True,
        )

    def method_named(self, name: str) -> Method:
        """Return a method with its settings for this data set.

        Raises:
            UnknownNameError: There is no such method.
        """
        return self.methods.get(name) or method_named(name)

    def configure(self, config: SegmenterConfig) -> SegmenterConfig:
        """Return a configuration with all settings of this protocol.

        Raises:
            UnknownNameError: There is no such method.
        """
        method = config.method
        return replace(
            config,
            method=self.method_named(method) if isinstance(method, str) else method,
            windows=self.windows,
            decoding=self.decoding,
            templates=self.templates,
        )

    def describe(self) -> dict[str, Any]:
        """Return every setting by name, for reports, in JSON types."""
        content = {each.name: getattr(self, each.name) for each in fields(self)}
        content["windows"] = asdict(self.windows)
        del content["windows"]["batch"]  # changes no label
        if self.windows.window is None:
            content["windows"]["stride"] = None
        content["decoding"] = asdict(self.decoding)
        content["methods"] = {
            name: method.recorded_settings() for name, method in self.methods.items()
        }
        return plain_json(content)
