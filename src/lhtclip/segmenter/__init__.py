"""Class names in, mask out: the way from image to mask, read top to bottom.

image → resize → windows → patch embeddings → × text embeddings → decode → `Segmentation`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeGuard, TypeVar, cast, overload

import numpy as np
import torch
from torch import Tensor

from lhtclip.checkpoints.checkpoint import Checkpoint, load_checkpoint
from lhtclip.checkpoints.device import dtype_name
from lhtclip.config import SegmenterConfig
from lhtclip.decoding.decode import DecodeSettings, decode
from lhtclip.decoding.probabilities import class_probabilities
from lhtclip.encoded_image import EncodedImage
from lhtclip.encoder import DenseEncoder, PatchEncoder
from lhtclip.engines import run_by
from lhtclip.errors import InputError, unknown
from lhtclip.image.opening import MAX_PIXELS
from lhtclip.image.pixels import ImageSource, read_image
from lhtclip.image.settings import PLAIN, ReadingSettings
from lhtclip.image.windows import WindowSettings
from lhtclip.methods import Method
from lhtclip.segmentation import Segmentation, label_dtype
from lhtclip.segmenter.memory import check_encoding, check_logits
from lhtclip.segmenter.second_pass import encode_again
from lhtclip.segmenter.windows import (
    PlannedImage,
    in_rows,
    joined,
    plan_image,
    resized_levels,
    windows_of,
)
from lhtclip.techniques.presets import Preset
from lhtclip.techniques.settings import Lht
from lhtclip.text.embeddings import TextEncoder
from lhtclip.text.templates import template_name
from lhtclip.text.vocabulary import Classes, Vocabulary

Key = TypeVar("Key")

# Fields of `SegmenterConfig`, by what must be rebuilt when they change.
_OF_THE_MODEL = {"model", "device", "dtype"}
_OF_THE_ENCODER = {"method", "lht", "residual", "mlp", "preset", "engine", "graph"}
_OF_THE_WORDS = {"templates", "text_cache"}


class Segmenter:
    """A frozen CLIP that gives every pixel one of your classes."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        encoder: DenseEncoder,
        texts: TextEncoder,
        *,
        windows: WindowSettings | None = None,
        decoding: DecodeSettings | None = None,
        max_pixels: int = MAX_PIXELS,
        reading: ReadingSettings = PLAIN,
        runner: PatchEncoder | None = None,
        config: SegmenterConfig | None = None,
    ) -> None:
        """Assemble a segmenter from parts; `from_pretrained` and `from_config` make the parts.

        Args:
            checkpoint: The model, its tokenizer and its pixel settings.
            encoder: The method and the techniques.
            texts: Embeds prompts.
            windows: How images are resized and cut.
            decoding: How logits become labels.
            max_pixels: Larger images are refused.
            reading: How values of images become levels.
            runner: An engine that runs the encoder; None runs it directly.
            config: The configuration of the parts, if there is one.
        """
        self.checkpoint = checkpoint
        self.encoder = encoder
        self.runner = runner or encoder
        self.texts = texts
        self.windows = windows or WindowSettings()
        self.decoding = decoding or DecodeSettings()
        self.max_pixels = max_pixels
        self.reading = reading
        self._config = config

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path = "ViT-B-16",
        *,
        method: str | Method = "sclip",
        lht: Lht = True,
        preset: Preset | str | Path | None = None,
        templates: str | Sequence[str] = "imagenet80",
        windows: WindowSettings | None = None,
        decoding: DecodeSettings | None = None,
        engine: str = "torch",
        graph: str | Path | None = None,
        device: str = "auto",
        dtype: str = "auto",
        max_pixels: int = MAX_PIXELS,
        text_cache: bool | str | Path = True,
        reading: ReadingSettings = PLAIN,
    ) -> Segmenter:
        """Load a model by name.

        Args:
            model: A short name ("ViT-B-16"), a hub id, a local folder, or "bundled".
            method: A name in `METHODS`, or a `Method` of your own, such as
                `replace(METHODS["sclip"], residual=False)`.
            lht: True for the paper's three techniques, False for none, `LhtSettings` for exactly
                these, or changes by name, such as {"atr": False}.
            preset: Settings of the techniques for this model, or a file with them; by default the
                known ones.
            templates: Name of a template set, or sentences with "{}" in them.
            windows: How images are resized and cut.
            decoding: How logits become labels.
            engine: What runs the image tower: "torch", "compile" or "onnx", which works in
                float32 on the CPU.
            graph: For "onnx", a file that `lhtclip export` wrote with the same settings; by
                default one is made once and kept in the cache.
            device: "auto", "cpu", "cuda", "cuda:N" or "mps".
            dtype: "auto", "float32", "bfloat16" or "float16".
            max_pixels: Larger images are refused.
            text_cache: Keep text embeddings on disk; a path says where.
            reading: How values of images become levels: a range, bands, what to do with alpha.

        Raises:
            LhtClipError: Something cannot be used; the message says what to do.
        """
        config = SegmenterConfig(
            model=str(model),
            method=method,
            lht=lht,
            preset=Preset.load(Path(preset)) if isinstance(preset, str | Path) else preset,
            templates=templates if isinstance(templates, str) else tuple(templates),
            windows=windows or WindowSettings(),
            decoding=decoding or DecodeSettings(),
            engine=engine,
            graph=str(graph) if graph else None,
            device=device,
            dtype=dtype,
            max_pixels=max_pixels,
            text_cache=text_cache if isinstance(text_cache, bool) else str(text_cache),
            reading=reading,
        )
        return cls.from_config(config)

    @classmethod
    def from_config(
        cls,
        config: SegmenterConfig,
        *,
        checkpoint: Checkpoint | None = None,
        texts: TextEncoder | None = None,
    ) -> Segmenter:
        """Load the model of a configuration.

        Args:
            config: All settings.
            checkpoint: The model, if it is already loaded; keeps its device and precision.
            texts: Embeds prompts, if it exists already.

        Raises:
            LhtClipError: Something cannot be used; the message says what to do.
        """
        device, dtype = config.machine()
        checkpoint = checkpoint or load_checkpoint(config.model, device=device, dtype=dtype)
        encoder = DenseEncoder(
            checkpoint.model,
            method=config.method,
            lht=(config.preset or checkpoint.preset).choose(config.lht),
            residual=config.residual,
            mlp=config.mlp,
        )
        graph = Path(config.graph) if config.graph else None
        return cls(
            checkpoint,
            encoder,
            texts or _text_encoder(checkpoint, config),
            windows=config.windows,
            decoding=config.decoding,
            max_pixels=config.max_pixels,
            reading=config.reading,
            runner=run_by(config.engine, encoder, pixels=checkpoint.pixels, graph=graph),
            config=config,
        )

    def replace(self, **changes: Any) -> Segmenter:
        """Return a segmenter with other settings that shares weights and prompt embeddings.

        Args:
            changes: Fields of `SegmenterConfig`, such as `method="naclip"`, `lht=False` or
                `windows=WindowSettings(short_side=448)`. The model, its device and its precision
                cannot change.

        Raises:
            InputError: A setting that does not exist, cannot be used, or belongs to the model.
        """
        free = [item.name for item in fields(SegmenterConfig) if item.name not in _OF_THE_MODEL]
        for name in changes:
            if name not in free:
                raise unknown("setting to replace", name, free)
        config = replace(self.config, **changes)
        texts = None if _OF_THE_WORDS & changes.keys() else self.texts
        if _OF_THE_ENCODER & changes.keys():
            return Segmenter.from_config(config, checkpoint=self.checkpoint, texts=texts)
        return Segmenter(
            self.checkpoint,
            self.encoder,
            texts or _text_encoder(self.checkpoint, config),
            windows=config.windows,
            decoding=config.decoding,
            max_pixels=config.max_pixels,
            reading=config.reading,
            runner=self.runner,
            config=config,
        )

    def settings(self) -> dict[str, Any]:
        """Return everything that labels depend on, except image and classes, in JSON types.

        `config` says what was requested; this says what it resolved to: weights, methods and
        techniques by their values, the engine, the device and the precision in use.
        """
        checkpoint, vision = self.checkpoint, self.checkpoint.model.vision
        content = {
            "model": checkpoint.name,
            "text_tower": checkpoint.fingerprint,
            "pixels": asdict(checkpoint.pixels),
            **self.encoder.settings(),
            "templates": template_name(self.texts.templates),
            "reading": asdict(self.reading),
            "windows": {name: n for name, n in asdict(self.windows).items() if name != "batch"},
            "decoding": asdict(self.decoding),
            "engine": self.runner.engine,
            "device": vision.device.type,
            "dtype": dtype_name(vision.dtype),
        }
        return json.loads(json.dumps(content))  # tuples become lists, as when read back

    @property
    def config(self) -> SegmenterConfig:
        """The configuration of this segmenter, or a description of its parts."""
        if self._config:
            return self._config
        vision = self.checkpoint.model.vision
        return SegmenterConfig(
            model=self.checkpoint.name,
            method=self.encoder.method,
            lht=self.encoder.lht,
            residual=self.encoder.residual,
            mlp=self.encoder.mlp,
            templates=template_name(self.texts.templates),
            windows=self.windows,
            decoding=self.decoding,
            engine=self.runner.engine.split()[0],
            device=str(vision.device),
            dtype=dtype_name(vision.dtype),
            max_pixels=self.max_pixels,
            reading=self.reading,
        )

    @overload
    def segment(
        self,
        image: ImageSource | EncodedImage,
        classes: Classes | Vocabulary,
        *,
        background: str | Sequence[str] | None = None,
        threshold: float | None = None,
    ) -> Segmentation: ...

    @overload
    def segment(
        self,
        image: Iterable[ImageSource],
        classes: Classes | Vocabulary,
        *,
        background: str | Sequence[str] | None = None,
        threshold: float | None = None,
    ) -> list[Segmentation]: ...

    def segment(
        self,
        image: ImageSource | EncodedImage | Iterable[ImageSource],
        classes: Classes | Vocabulary,
        *,
        background: str | Sequence[str] | None = None,
        threshold: float | None = None,
    ) -> Segmentation | list[Segmentation]:
        """Label every pixel with one of the classes.

        Args:
            image: A path, an open file, a PIL image, an RGB array (height, width, 3) uint8, a
                tensor (3, height, width), or an `EncodedImage`; or any iterable of images.
            classes: A list of class names, where an inner list has the prompts of one class, the
                first being its name; or a dict from name to prompts; or one string "car, road,
                person|rider"; or a `Vocabulary`.
            background: Prompts for what is none of the classes; they become class 0, "background".
            threshold: Pixels whose class has a lower probability, in [0, 1], become background;
                None for the threshold of `decoding`.

        Returns:
            A `Segmentation` for one image, a list of them for several.

        Raises:
            InputError: An image or the classes cannot be used.
        """
        threshold = self.decoding.threshold if threshold is None else threshold
        vocabulary = Vocabulary.of(classes, background=background, threshold=threshold)
        if isinstance(image, EncodedImage):
            return self._label(image, vocabulary, threshold)
        if _is_one(image):
            return self._label(self.encode(image), vocabulary, threshold)
        encoded = self.encode_many(cast("Iterable[ImageSource]", image))
        return [self._label(each, vocabulary, threshold) for each in encoded]

    def encode(self, image: ImageSource) -> EncodedImage:
        """Run the image encoder once; segment the result for any classes, again and again.

        The method "resclip-sfr" runs the encoder once more each time, because its second pass
        depends on the classes.
        """
        return next(self.encode_many([image]))

    def encode_many(self, images: Iterable[ImageSource]) -> Iterator[EncodedImage]:
        """Encode images in order; windows of one shape go through the encoder together.

        Consecutive images share a batch if both are at least one window large.

        Raises:
            InputError: An image cannot be read; `encode_items` can skip it.
        """
        return (encoded for _, encoded in self.encode_items(enumerate(images)))

    def encode_items(
        self,
        items: Iterable[tuple[Key, ImageSource]],
        *,
        on_error: Callable[[Key, InputError], None] | None = None,
    ) -> Iterator[tuple[Key, EncodedImage]]:
        """Encode images with keys, like `encode_many`, and skip those that cannot be read.

        Args:
            items: A key of any kind, such as a path, and the image.
            on_error: Called with the key of an image that cannot be read, which is then skipped;
                without it, the error is raised.

        Raises:
            InputError: An image cannot be read, and there is no `on_error`.
        """
        waiting: list[tuple[Key, PlannedImage]] = []
        for key, source in items:
            try:
                planned = self._planned(source)
            except InputError as error:
                if on_error is None:
                    raise
                on_error(key, error)
                continue
            if waiting and not self._fits(planned, [each for _, each in waiting]):
                yield from self._encode_waiting(waiting)
                waiting = []
            waiting.append((key, planned))
        if waiting:
            yield from self._encode_waiting(waiting)

    def _planned(self, source: ImageSource) -> PlannedImage:
        image = read_image(source, max_pixels=self.max_pixels, settings=self.reading)
        config = self.checkpoint.model.config
        planned = plan_image(image, self.windows, patch=config.vision.patch_size)
        check_encoding(planned, config.vision, width=config.projection_dim, at_once=self._at_once)
        return planned

    def _encode_waiting(
        self, waiting: list[tuple[Key, PlannedImage]]
    ) -> Iterator[tuple[Key, EncodedImage]]:
        encoded = self._encode_together([planned for _, planned in waiting])
        return zip((key for key, _ in waiting), encoded, strict=True)

    @torch.inference_mode()
    def probabilities(
        self,
        encoded: EncodedImage,
        vocabulary: Vocabulary,
        size: tuple[int, int],
        *,
        rows: slice,
        columns: slice,
    ) -> Tensor:
        """Return the probabilities of all classes in a part of an image, without thresholds.

        `EncodedImage.probe`, `scores` and `probabilities` ask for what is mostly wanted.

        Args:
            encoded: The image.
            vocabulary: The classes.
            size: Height and width of the whole result in pixels.
            rows: The rows of the result that are wanted.
            columns: Its columns.

        Returns:
            (classes, rows, columns) float32 in [0, 1].

        Raises:
            InputError: The image was encoded by a model with embeddings of another length.
        """
        return class_probabilities(
            self._cosines(encoded, vocabulary) * self.decoding.logit_scale,
            encoded.plan,
            size,
            vocabulary.class_of_query,
            len(vocabulary.names),
            rows=rows,
            columns=columns,
        )

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits: equal if all that labels depend on is, see `settings`."""
        content = json.dumps(self.settings(), sort_keys=True).encode()
        return hashlib.sha256(content).hexdigest()[:16]

    def _cosines(self, encoded: EncodedImage, vocabulary: Vocabulary) -> Tensor:
        """Compare patches with phrases: (window rows, columns, grid rows, columns, queries)."""
        texts = self.texts.encode(vocabulary.queries)
        if encoded.embeddings.shape[-1] != texts.shape[-1]:
            raise InputError(
                f"This image was encoded by another model: its embeddings have length "
                f"{encoded.embeddings.shape[-1]}, those of the prompts {texts.shape[-1]}."
            )
        return self._embeddings(encoded, texts) @ texts.T

    @torch.inference_mode()
    def _label(
        self, encoded: EncodedImage, vocabulary: Vocabulary, threshold: float
    ) -> Segmentation:
        """Label every pixel with a class of a checked vocabulary.

        Raises:
            InputError: The image was encoded by a model with embeddings of another length.
        """
        decoding = replace(self.decoding, threshold=threshold)
        planned = PlannedImage(encoded.image, encoded.plan)
        check_logits(planned, self.checkpoint.model.config.vision, prompts=len(vocabulary.queries))
        cosines = self._cosines(encoded, vocabulary)
        labels, scores = decode(
            cosines,
            encoded.plan,
            encoded.image.shape[:2],
            vocabulary.class_of_query,
            len(vocabulary.names),
            decoding,
            image=resized_levels(encoded, cosines.device) if decoding.pamr else None,
        )
        return Segmentation(
            labels=labels.astype(label_dtype(len(vocabulary.names))),
            scores=scores,
            names=vocabulary.names,
            image=encoded.image,
            background=vocabulary.background,
        )

    @property
    def _at_once(self) -> int:
        return self.windows.at_once(self.checkpoint.model.vision.device.type)

    def _fits(self, planned: PlannedImage, waiting: list[PlannedImage]) -> bool:
        windows = planned.plan.count + sum(each.plan.count for each in waiting)
        return planned.shape == waiting[0].shape and windows <= self._at_once

    @torch.inference_mode()
    def _encode_together(self, images: list[PlannedImage]) -> list[EncodedImage]:
        """Run the encoder on the windows of all images."""
        if images[1:]:  # together they are no more than fit at once
            cut = partial(windows_of, checkpoint=self.checkpoint, most=self._at_once)
            embeddings = self.runner(torch.cat([part for each in images for part in cut(each)]))
        else:
            parts = windows_of(images[0], self.checkpoint, most=self._at_once)
            embeddings = joined((self.runner(part) for part in parts), images[0].plan.count)
        parts = embeddings.split([each.plan.count for each in images])
        return [
            EncodedImage(each.image, each.plan, in_rows(part, each.plan), self)
            for each, part in zip(images, parts, strict=True)
        ]

    def _embeddings(self, encoded: EncodedImage, texts: Tensor) -> Tensor:
        """Return the embeddings to compare with texts: those of a second pass, if there is one."""
        embeddings = encoded.embeddings.to(texts.device)
        if self.encoder.method.second_pass is None:
            return embeddings
        windows = windows_of(encoded, self.checkpoint, most=self._at_once)
        first = embeddings.flatten(0, 1).split(self._at_once)
        parts = zip(windows, first, strict=True)
        again = (encode_again(self.encoder, part, seen, texts) for part, seen in parts)
        return in_rows(joined(again, encoded.plan.count), encoded.plan)


def _is_one(image: ImageSource | Iterable[ImageSource]) -> TypeGuard[ImageSource]:
    """Whether this is a single image: paths, arrays and open files are iterable as well."""
    single = isinstance(image, str | bytes | os.PathLike | np.ndarray | Tensor)
    return single or hasattr(image, "read") or not isinstance(image, Iterable)


def _text_encoder(checkpoint: Checkpoint, config: SegmenterConfig) -> TextEncoder:
    return TextEncoder.of(checkpoint, templates=config.templates, cache=config.text_cache)
