"""Words in, mask out: the way from image to mask, read top to bottom.

image → resize → windows → patch embeddings → × text embeddings → decode → `Segmentation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lhtclip.checkpoints.checkpoint import Checkpoint, load_checkpoint
from lhtclip.checkpoints.device import choose_device, choose_dtype
from lhtclip.checkpoints.hub import canonical_name, resolve
from lhtclip.clip.config import CLIP_MEAN, CLIP_STD
from lhtclip.decoding.decode import DecodeSettings, decode
from lhtclip.decoding.pamr import PamrSettings
from lhtclip.decoding.patch_labels import label_patches
from lhtclip.encoded_image import EncodedImage
from lhtclip.encoder import DenseEncoder, PatchEncoder
from lhtclip.engines import check_engine, run_by
from lhtclip.errors import InputError
from lhtclip.image.opening import MAX_PIXELS
from lhtclip.image.pixels import ImageSource, read_image, resized_shape, to_pixels
from lhtclip.image.settings import PLAIN, ReadingSettings
from lhtclip.image.windows import WindowPlan, plan_windows
from lhtclip.image.windows import WindowSettings as WindowSettings
from lhtclip.methods import Method
from lhtclip.segmentation import Segmentation, label_dtype
from lhtclip.techniques.atr import AtrSettings
from lhtclip.techniques.presets import Preset, preset_for
from lhtclip.techniques.she import SheSettings
from lhtclip.techniques.ssr import SsrSettings
from lhtclip.text.embeddings import TextEncoder
from lhtclip.text.vocabulary import Classes, Vocabulary


class Segmenter:
    """A frozen CLIP that labels every pixel with one of the words it is given."""

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
    ) -> None:
        """Put the parts together; `from_pretrained` does it from a name.

        Args:
            checkpoint: The model and what belongs to it.
            encoder: The method and the techniques.
            texts: Makes embeddings of words.
            windows: How images are resized and cut.
            decoding: How logits become labels.
            max_pixels: Larger images are refused.
            reading: How values of images become levels.
            runner: An engine that runs the encoder; None runs it as it is.
        """
        self.checkpoint = checkpoint
        self.encoder = encoder
        self.runner = runner or encoder
        self.texts = texts
        self.windows = windows or WindowSettings()
        self.decoding = decoding or DecodeSettings()
        self.max_pixels = max_pixels
        self.reading = reading

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path = "ViT-B-16",
        *,
        method: str | Method = "sclip",
        lht: bool = True,
        ssr: bool | SsrSettings | None = None,
        atr: bool | AtrSettings | None = None,
        she: bool | SheSettings | None = None,
        residual: bool | None = None,
        mlp: bool | None = None,
        preset: Preset | str | Path | None = None,
        templates: str | Sequence[str] = "imagenet80",
        windows: WindowSettings | None = None,
        logit_scale: float = 40.0,
        pamr: bool | PamrSettings = False,
        device: str = "auto",
        dtype: str = "auto",
        engine: str = "torch",
        graph: str | Path | None = None,
        text_cache: bool | Path = True,
        max_pixels: int = MAX_PIXELS,
        reading: ReadingSettings = PLAIN,
    ) -> Segmenter:
        """Load a checkpoint and get ready.

        Args:
            model: A short name ("ViT-B-16"), a hub id, a local folder, or "bundled".
            method: A name in `lhtclip.methods.METHODS`, or a `Method` of your own.
            lht: Whether the paper's three techniques act; each can be switched alone.
            ssr: True or False to switch it, settings of your own, None to follow `lht`.
            atr: Likewise.
            she: Likewise.
            residual: Keep the last block's residual connection; by default as published, and not
                where a technique acts.
            mlp: Keep the last block's MLP; likewise.
            preset: Settings of the techniques for this checkpoint, or a file that holds them; by
                default those that are known for it.
            templates: Name of a template set, or prompts with "{}" in them.
            windows: How images are resized and cut.
            logit_scale: Factor on the cosines before the softmax over all words.
            pamr: Refine the logits along the edges of the image; True as NACLIP does.
            device: "auto", "cpu", "cuda", "cuda:N" or "mps".
            dtype: "auto", "float32", "bfloat16" or "float16".
            engine: What runs the image tower: "torch", "compile", "onnx" or "openvino". The last
                two work in float32 on the CPU.
            graph: For those two, a file that `lhtclip export` wrote with the same settings; by
                default one is made once and kept in the cache.
            text_cache: Keep text embeddings on disk; a path says where.
            max_pixels: Larger images are refused.
            reading: How values of images become levels: a range, bands, what to do with alpha.

        Raises:
            LhtClipError: In one of its kinds, each saying what to do.
        """
        device, dtype = check_engine(engine, graph=graph, device=device, dtype=dtype)
        target = choose_device(device)
        directory = resolve(str(model))
        checkpoint = load_checkpoint(directory, dtype=choose_dtype(dtype, target), device=target)
        if not isinstance(preset, Preset):
            layers = checkpoint.model.config.vision.num_hidden_layers
            preset = (
                Preset.load(Path(preset))
                if preset
                else preset_for(canonical_name(str(model)), directory, layers=layers)
            )
        encoder = DenseEncoder(
            checkpoint.model,
            method=method,
            lht=preset.select(lht=lht, ssr=ssr, atr=atr, she=she),
            residual=residual,
            mlp=mlp,
        )
        texts = TextEncoder.of(checkpoint, templates=templates, cache=text_cache)
        return cls(
            checkpoint,
            encoder,
            texts,
            windows=windows,
            decoding=DecodeSettings(
                logit_scale=logit_scale,
                pamr=(PamrSettings() if pamr else None) if isinstance(pamr, bool) else pamr,
            ),
            max_pixels=max_pixels,
            reading=reading,
            runner=run_by(
                engine, encoder, pixels=checkpoint.pixels, graph=Path(graph) if graph else None
            ),
        )

    @overload
    def segment(
        self,
        image: ImageSource | EncodedImage,
        classes: Classes,
        *,
        background: str | Sequence[str] | None = None,
        threshold: float | None = None,
    ) -> Segmentation: ...

    @overload
    def segment(
        self,
        image: list[ImageSource],
        classes: Classes,
        *,
        background: str | Sequence[str] | None = None,
        threshold: float | None = None,
    ) -> list[Segmentation]: ...

    def segment(
        self,
        image: ImageSource | EncodedImage | list[ImageSource],
        classes: Classes,
        *,
        background: str | Sequence[str] | None = None,
        threshold: float | None = None,
    ) -> Segmentation | list[Segmentation]:
        """Label every pixel with one of the classes.

        Args:
            image: A path, a PIL image, an RGB array (height, width, 3) uint8, a tensor
                (3, height, width), or a list of these; or an `EncodedImage`.
            classes: A list of words, an inner list holding synonyms of one class, the first its
                name; or a dict from name to synonyms; or one string "car, road, person|rider".
            background: Words for what is none of the classes; they become class 0, "background".
            threshold: Winners with a probability below this, in [0, 1], become background; None
                for the threshold of `decoding`.

        Returns:
            For one image a `Segmentation`, for a list a list of them.

        Raises:
            InputError: The image or the words cannot be used.
        """
        threshold = self.decoding.threshold if threshold is None else threshold
        vocabulary = Vocabulary.of(classes, background=background, threshold=threshold)
        if isinstance(image, list):
            return [
                self.label(each, vocabulary, threshold=threshold)
                for each in self.encode_many(image)
            ]
        encoded = image if isinstance(image, EncodedImage) else self.encode(image)
        return self.label(encoded, vocabulary, threshold=threshold)

    @torch.inference_mode()
    def label(
        self, encoded: EncodedImage, vocabulary: Vocabulary, *, threshold: float | None = None
    ) -> Segmentation:
        """Label every pixel with a class of a vocabulary that is already checked.

        Raises:
            InputError: The image was encoded by a model with embeddings of another length.
        """
        decoding = self.decoding
        if threshold is not None:
            decoding = replace(decoding, threshold=threshold)
        texts = self.texts.encode(vocabulary.queries)
        if encoded.embeddings.shape[-1] != texts.shape[-1]:
            raise InputError(
                f"This image was encoded by another model: its embeddings have length "
                f"{encoded.embeddings.shape[-1]}, those of the words {texts.shape[-1]}."
            )
        labels, scores = decode(
            self._embeddings(encoded, texts) @ texts.T,
            encoded.plan,
            encoded.image.shape[:2],
            vocabulary.class_of_query,
            len(vocabulary.names),
            decoding,
            image=_colours(encoded, texts.device) if decoding.pamr else None,
        )
        return Segmentation(
            labels=labels.astype(label_dtype(len(vocabulary.names))),
            scores=scores,
            names=vocabulary.names,
            image=encoded.image,
            background=vocabulary.background,
        )

    def encode(self, image: ImageSource) -> EncodedImage:
        """Run the image tower once; the result can be asked for any words, again and again.

        The method "resclip-sfr" runs the tower once more each time, because its second pass depends
        on the words.
        """
        return next(self.encode_many([image]))

    def encode_many(self, images: Iterable[ImageSource]) -> Iterator[EncodedImage]:
        """Encode images in order; windows of one shape go through the tower together.

        That is so for neighbours of any size, as long as both their sides reach a window's.
        """
        waiting: list[_Planned] = []
        for source in images:
            image = read_image(source, max_pixels=self.max_pixels, settings=self.reading)
            planned = _Planned(image, self._plan(image))
            if waiting and not self._fits(planned, waiting):
                yield from self._encode_together(waiting)
                waiting = []
            waiting.append(planned)
        if waiting:
            yield from self._encode_together(waiting)

    @property
    def _at_once(self) -> int:
        return self.windows.at_once(self.checkpoint.model.vision.positions.device.type)

    def _fits(self, planned: _Planned, waiting: list[_Planned]) -> bool:
        windows = planned.plan.count + sum(each.plan.count for each in waiting)
        return planned.shape == waiting[0].shape and windows <= self._at_once

    def _plan(self, image: NDArray[np.uint8]) -> WindowPlan:
        settings = self.windows
        height, width = resized_shape(
            *image.shape[:2], short_side=settings.short_side, long_side=settings.long_side
        )
        patch = self.checkpoint.model.config.vision.patch_size
        height, width = max(height, patch), max(width, patch)  # a sliver still fills one patch
        window = settings.window and max(settings.window, patch)
        return plan_windows(height, width, window=window, stride=settings.stride)

    @torch.inference_mode()
    def _encode_together(self, images: list[_Planned]) -> list[EncodedImage]:
        """Run the tower on the windows of all images."""
        windows = torch.cat([self._windows(each.image, each.plan) for each in images])
        embeddings = torch.cat([self.runner(part) for part in windows.split(self._at_once)])
        parts = embeddings.split([each.plan.count for each in images])
        return [
            EncodedImage(each.image, each.plan, _in_rows(part, each.plan), self)
            for each, part in zip(images, parts, strict=True)
        ]

    def _embeddings(self, encoded: EncodedImage, texts: Tensor) -> Tensor:
        """Return the embeddings to compare with texts: those of a second pass, if there is one."""
        embeddings = encoded.embeddings.to(texts.device)
        if self.encoder.method.second_pass is None:
            return embeddings
        windows = self._windows(encoded.image, encoded.plan).split(self._at_once)
        first = embeddings.flatten(0, 1).split(self._at_once)
        parts = zip(windows, first, strict=True)
        again = [encode_again(self.encoder, part, seen, texts) for part, seen in parts]
        return _in_rows(torch.cat(again), encoded.plan)

    def _windows(self, image: NDArray[np.uint8], plan: WindowPlan) -> Tensor:
        table, levels = self.checkpoint.model.vision.positions, self.checkpoint.pixels
        pixels = to_pixels(
            image,
            (plan.height, plan.width),
            device=table.device,
            dtype=table.dtype,
            mean=levels.mean,
            std=levels.std,
        )
        return plan.cut(pixels)


def encode_again(
    encoder: DenseEncoder, pixels: Tensor, embeddings: Tensor, texts: Tensor
) -> Tensor:
    """Encode windows a second time, or return the first embeddings if the method has one pass.

    Args:
        encoder: The encoder of the first pass.
        pixels: Normalised windows, (windows, 3, height, width).
        embeddings: Of the first pass, (windows, rows, columns, E), of unit length.
        texts: Of the queries, (queries, E), of unit length.

    Returns:
        (windows, rows, columns, E) float32, of unit length.
    """
    method, patch = encoder.method, encoder.model.config.vision.patch_size
    if method.second_pass is None:
        return embeddings
    label = partial(label_patches, embeddings, texts, pixels, patch=patch)
    return encoder.with_method(method.second_pass(label, method.settings))(pixels)


def _colours(encoded: EncodedImage, device: torch.device) -> Tensor:
    """The resized image (3, plan.height, plan.width), whose edges PAMR follows."""
    size = (encoded.plan.height, encoded.plan.width)
    return to_pixels(encoded.image, size, mean=CLIP_MEAN, std=CLIP_STD, device=device)


def _in_rows(embeddings: Tensor, plan: WindowPlan) -> Tensor:
    """(windows, rows, columns, E) -> (window rows, window columns, rows, columns, E)."""
    return embeddings.unflatten(0, (len(plan.tops), len(plan.lefts)))


@dataclass(frozen=True, slots=True, eq=False)
class _Planned:
    """An image (height, width, 3) and where its windows will lie."""

    image: NDArray[np.uint8]
    plan: WindowPlan

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of its windows."""
        return self.plan.window_height, self.plan.window_width
