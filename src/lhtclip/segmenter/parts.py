"""What a segmenter is made of, and how the parts are loaded, changed and described."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lhtclip.checkpoints.checkpoint import Checkpoint, load_checkpoint
from lhtclip.checkpoints.device import dtype_name
from lhtclip.config import SegmenterConfig, check_joint
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.encoder import DenseEncoder, PatchEncoder
from lhtclip.engines import run_by
from lhtclip.errors import InputError, unknown
from lhtclip.files.json_files import plain_json
from lhtclip.image.opening import MAX_PIXELS
from lhtclip.image.settings import PLAIN, ReadingSettings
from lhtclip.image.windows import WindowSettings, check_shifts
from lhtclip.methods import Method, method_of
from lhtclip.segmenter.mirroring import MirroredEncoder
from lhtclip.text.embeddings import TextEncoder
from lhtclip.text.templates import template_name

if TYPE_CHECKING:
    from typing_extensions import Self

# Fields of `SegmenterConfig`, by what must be rebuilt when they change.
_OF_THE_MODEL = {"model", "device", "dtype"}
_OF_THE_ENCODER = {"method", "lht", "residual", "mlp", "preset", "engine", "graph"}
_OF_THE_WORDS = {"templates", "text_cache"}


class SegmenterParts:
    """A model with everything that decides what it makes of an image: the base of `Segmenter`."""

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
        self._runner = runner or encoder
        self.texts = texts
        self.windows = windows or WindowSettings()
        self.decoding = decoding or DecodeSettings()
        self.max_pixels = max_pixels
        self.reading = reading
        self._config = config
        self._process = os.getpid()
        check_shifts(self.windows.shifts, patch=checkpoint.model.config.vision.patch_size)
        if self.windows.joint:
            check_joint(encoder.method, self._runner.engine)

    @classmethod
    def from_config(
        cls,
        config: SegmenterConfig,
        *,
        checkpoint: Checkpoint | None = None,
        texts: TextEncoder | None = None,
    ) -> Self:
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
        preset = config.preset or checkpoint.preset
        encoder = DenseEncoder(
            checkpoint.model,
            method=method_of(config.method).suited_to(preset.channels),
            lht=preset.choose(config.lht),
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

    def replace(self, **changes: Any) -> Self:
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
            return self.from_config(config, checkpoint=self.checkpoint, texts=texts)
        return type(self)(
            self.checkpoint,
            self.encoder,
            texts or _text_encoder(self.checkpoint, config),
            windows=config.windows,
            decoding=config.decoding,
            max_pixels=config.max_pixels,
            reading=config.reading,
            runner=self._runner,
            config=config,
        )

    def with_method(self, method: str | Method, **changes: Any) -> Self:
        """Return a segmenter with another method, as `replace(method=method, **changes)` does."""
        return self.replace(method=method, **changes)

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
        return plain_json(content)

    @property
    def runner(self) -> PatchEncoder:
        """What encodes windows: the engine, with mirroring if the settings ask for it."""
        if not self.windows.flip:
            return self._runner
        return MirroredEncoder(self._runner, self.checkpoint.model.config.vision.patch_size)

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

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits: equal if all that labels depend on is, see `settings`."""
        content = json.dumps(self.settings(), sort_keys=True).encode()
        return hashlib.sha256(content).hexdigest()[:16]

    def enter_process(self) -> None:
        """In a forked child go on with one thread: those of torch live in the parent only.

        Raises:
            InputError: The engine or the device cannot be used after a fork.
        """
        if os.getpid() == self._process:
            return
        engine, device = self.runner.engine, self.checkpoint.model.vision.device.type
        if (engine, device) != ("torch", "cpu"):
            raise InputError(
                f"This process was forked after the segmenter was loaded, and the engine "
                f"{engine!r} on {device} does not survive a fork. Load the segmenter in each "
                "process, or start processes with the method 'spawn'."
            )
        torch.set_num_threads(1)
        self._process = os.getpid()

    @property
    def windows_at_once(self) -> int:
        """How many windows the encoder gets in one pass."""
        return self.windows.at_once(self.checkpoint.model.vision.device.type)


def _text_encoder(checkpoint: Checkpoint, config: SegmenterConfig) -> TextEncoder:
    return TextEncoder.of(checkpoint, templates=config.templates, cache=config.text_cache)
