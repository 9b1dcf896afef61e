"""Archives made as OpenAI's were: compiled, half precision, saved by `torch.jit.save`."""

from __future__ import annotations

import logging
import pickle
import shutil
import sys
import types
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lhtclip.checkpoints.checkpoint import load_checkpoint
from lhtclip.checkpoints.openai_archive import is_torchscript, openai_config, read_torchscript
from lhtclip.cli import main
from lhtclip.clip.config import PixelConfig
from lhtclip.errors import CheckpointError
from lhtclip.segmenter import Segmenter
from tests.clip.openai_clip import OpenAiClip, openai_names
from tests.clip.published import SHAPES, random_clip, shape

PROMPTS = ["a photo of a cat", "dog", "the cat of a dog, of 2"]
# Stored in half precision are the parameters of these; those of norms and the rest are not.
HALVED = ("Conv2d", "Linear", "NonDynamicallyQuantizableLinear", "MultiheadAttention")


ARCHIVES = {
    "ViT-B-32": SHAPES["B/32"],
    "ViT-B-16": SHAPES["B/16"],
    "ViT-L-14": SHAPES["L/14"],
    "ViT-L-14-336px": SHAPES["L/14@336"],
}
TINY = shape(32, 8, (128, 2), (64, 1), 32)


def noise(side: int) -> Tensor:
    return torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(1))


def compile_clip(weights: dict[str, Tensor], *, traced: bool) -> torch.jit.ScriptModule:
    model = OpenAiClip(weights).eval()
    tokens = torch.zeros(1, len(weights["positional_embedding"]), dtype=torch.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated; the archives are there
        if traced:
            pixels = noise(int(model.input_resolution))
            return torch.jit.trace(model, (pixels, tokens), check_trace=False)
        return torch.jit.script(model)


def save_archive(weights: dict[str, Tensor], path: Path, *, traced: bool = True) -> None:
    compiled = compile_clip(weights, traced=traced)
    for module in compiled.modules():
        if module.original_name in HALVED:
            for parameter in module.parameters(recurse=False):
                parameter.data = parameter.data.half()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(compiled, path)


def run_archive(path: Path, pixels: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.load(path).float()(pixels, tokens)


@dataclass
class Archived:
    weights: dict[str, Tensor]
    path: Path


@pytest.fixture(scope="module")
def original(tokenizers: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Archived:
    folder = tmp_path_factory.mktemp("openai")
    weights = openai_names(random_clip(TINY).state_dict())
    save_archive(weights, folder / "ViT-B-16.pt")
    tokenizers["last"].save(str(folder / "tokenizer.json"))
    return Archived(weights, folder / "ViT-B-16.pt")


@pytest.fixture
def archive(original: Archived, tmp_path: Path) -> Path:
    """An archive to spoil, its tokenizer beside it."""
    folder = Path(shutil.copytree(original.path.parent, tmp_path / "openai"))
    return folder / "ViT-B-16.pt"


# What is read


@pytest.mark.parametrize(
    ("name", "traced"),
    [
        ("ViT-B-32", True),
        ("ViT-B-16", False),
        ("ViT-L-14", True),
        ("ViT-L-14-336px", False),
    ],
)
@torch.no_grad()
def test_features_are_those_of_transformers_and_of_the_archive_itself(
    tmp_path: Path, tokenizers: dict[str, Any], name: str, traced: bool
) -> None:
    theirs = random_clip(ARCHIVES[name])
    path = tmp_path / f"{name}.pt"
    save_archive(openai_names(theirs.state_dict()), path, traced=traced)
    tokenizers["last"].save(str(tmp_path / "tokenizer.json"))

    ours = load_checkpoint(path)
    expected = ARCHIVES[name]
    for tower in ("vision", "text"):
        config = getattr(ours.model.config, tower)
        for key, value in expected[f"{tower}_config"].items():
            assert key == "bos_token_id" or getattr(config, key) == value
        assert config.hidden_act == "quick_gelu"
    assert ours.model.config.projection_dim == expected["projection_dim"]
    assert ours.model.config.text.max_position_embeddings == 77

    pixels, tokens = noise(expected["vision_config"]["image_size"]), ours.tokenizer(PROMPTS)
    whole = nn.functional.pad(tokens, (0, 77 - tokens.shape[1]), value=ours.tokenizer.end)
    images, texts = ours.model.vision(pixels), ours.model.text(tokens)
    compare(images, theirs.visual_projection(theirs.vision_model(pixels).pooler_output))
    compare(texts, theirs.text_projection(theirs.text_model(whole).pooler_output))
    for found, run in zip((images[0], texts[0]), run_archive(path, pixels, whole), strict=True):
        compare(found, run[0])
    assert ours.model.logit_scale == theirs.logit_scale
    shutil.rmtree(tmp_path)


def compare(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_checkpoint(archive: Path, original: Archived) -> None:
    checkpoint = load_checkpoint(archive)
    assert checkpoint.directory == archive
    assert checkpoint.pixels == PixelConfig()
    assert {parameter.dtype for parameter in checkpoint.model.parameters()} == {torch.float32}
    assert not any(parameter.requires_grad for parameter in checkpoint.model.parameters())
    half = load_checkpoint(archive, dtype=torch.float16)
    assert {parameter.dtype for parameter in half.model.parameters()} == {torch.float16}
    assert half.fingerprint == checkpoint.fingerprint


def test_tensors_are_read_as_stored(original: Archived) -> None:
    assert is_torchscript(original.path)
    found = read_torchscript(original.path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = torch.jit.load(original.path).state_dict()
    assert found.keys() == expected.keys()
    assert {found[name].dtype for name in ("visual.proj", "ln_final.bias")} == {torch.float32}
    assert found["visual.conv1.weight"].dtype == torch.float16
    for name, tensor in found.items():
        assert tensor.dtype == expected[name].dtype
        assert torch.equal(tensor, expected[name])


def test_the_program_is_not_looked_at(archive: Path) -> None:
    before = load_checkpoint(archive).fingerprint
    rewrite(archive, lambda name, content: None if "/code/" in name else content)
    with zipfile.ZipFile(archive) as left:
        assert not any("/code/" in name for name in left.namelist())
    assert load_checkpoint(archive).fingerprint == before


def test_segmenter_and_commands(
    archive: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(archive.parent)
    segmenter = Segmenter.from_pretrained("ViT-B-16.pt", templates="{}", text_cache=False)
    image = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    assert segmenter.segment(image, ["cat", "dog"]).labels.shape == (40, 56)
    assert main(["download", "ViT-B-16.pt"]) == 0
    assert capfd.readouterr().out == "ViT-B-16.pt\n"


def test_plain_tensors(archive: Path, original: Archived, caplog: pytest.LogCaptureFixture) -> None:
    expected = load_checkpoint(archive)
    stored = read_torchscript(archive)
    torch.save(stored, archive)
    assert not is_torchscript(archive)
    with caplog.at_level(logging.WARNING, logger="lhtclip"):
        found = load_checkpoint(archive)
    assert found.fingerprint == expected.fingerprint
    assert caplog.text == ""
    for name, tensor in found.model.state_dict().items():
        assert torch.equal(tensor, expected.model.state_dict()[name])

    torch.save(original.weights, archive)  # without OpenAI's marks it could be anybody's
    with caplog.at_level(logging.WARNING, logger="lhtclip"):
        load_checkpoint(archive)
    assert "does not say how its tensors are used" in caplog.text
    assert "heads and QuickGELU" in caplog.text


@pytest.mark.parametrize(
    ("file", "activation"),
    [
        ("RS5M_ViT-B-32.pt", "quick_gelu"),
        ("FarSLIP2_ViT-B-32.pt", "quick_gelu"),
        ("RemoteCLIP-ViT-B-32.pt", "gelu"),
    ],
)
@torch.no_grad()
def test_bare_weights_whose_activation_is_known(
    archive: Path, caplog: pytest.LogCaptureFixture, file: str, activation: str
) -> None:
    """Aerial models: in the manner of a training script, their activation by their name."""
    theirs = random_clip(TINY, activation=activation)
    path = archive.with_name(file)
    tensors = {f"module.{name}": each for name, each in openai_names(theirs.state_dict()).items()}
    torch.save({"epoch": 1, "state_dict": tensors}, path)
    with caplog.at_level(logging.WARNING, logger="lhtclip"):
        found = load_checkpoint(path).model
    assert caplog.text == ""
    assert found.config.vision.hidden_act == found.config.text.hidden_act == activation
    pixels = noise(32)
    compare(found.vision(pixels), theirs.visual_projection(theirs.vision_model(pixels)[1]))


@torch.no_grad()
def test_long_clip(archive: Path, original: Archived) -> None:
    """FarSLIP's ViT-B/16: 248 positions, of which two tables hold a part each."""
    generator = torch.Generator().manual_seed(0)
    width = original.weights["positional_embedding"].shape[1]
    first, rest = torch.randn(2, 248, width, generator=generator)
    mask = (torch.arange(248) < 20).float()[:, None]
    path = archive.with_name("FarSLIP1_ViT-B-16.pt")
    changed = {"positional_embedding": first, "positional_embedding_res": rest}
    torch.save(original.weights | changed | {"mask1": mask, "mask2": 1 - mask}, path)
    ours = load_checkpoint(path)
    assert ours.tokenizer.context_length == ours.model.config.text.max_position_embeddings == 248
    tokens = ours.tokenizer(["a photo of a cat " * 20])
    expected = first * mask + rest * (1 - mask)
    assert tokens.shape[1] > 77
    torch.testing.assert_close(
        ours.model.text.embed(tokens) - ours.model.text.token_embedding(tokens),
        expected[None, : tokens.shape[1]],
    )


# What is refused


def rewrite(path: Path, change: Callable[[str, bytes], bytes | None]) -> None:
    """Write an archive anew, each file as changed, or without those that become None."""
    with zipfile.ZipFile(path) as archive:
        files = {name: change(name, archive.read(name)) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            if content is not None:
                archive.writestr(name, content)


def with_pickle(path: Path, content: bytes) -> None:
    rewrite(path, lambda name, old: content if name.endswith("/data.pkl") else old)


class Attack:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


def test_code_in_the_pickle_is_refused(archive: Path, tmp_path: Path) -> None:
    target = tmp_path / "run"
    attack = pickle.dumps({"logit_scale": Attack(target)}, protocol=2)
    with_pickle(archive, attack)
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(archive)
    assert str(error.value).startswith(
        f"{archive} is not loaded: it is broken, or holds more than tensors and could run code. "
        "Use the archive that OpenAI published in its place"
    )
    assert not target.exists()
    pickle.loads(attack)
    assert target.exists()  # the attack is a real one


@pytest.mark.parametrize(
    "opcodes",
    [
        b"cbuiltins\neval\n(Vprint(1)\ntR.",
        b"cos\nsystem\n(Vtrue\ntR.",
        b"(Vtrue\nios\nsystem\n.",
        b"ctorch\nload\n(Vx\ntR.",
        b"ctorch._utils\n_rebuild_parameter\n.",
        b"ctorch.jit._pickle\nbuild_tensor_from_id\n.",
        b"cpathlib\nPath\n.",
        b"\x80\x04\x8c\x0ctorch._utils\x8c\x23_rebuild_tensor_v2.__globals__.eval\x93.",
        b"c__torch__evil\nsystem\n.",
    ],
)
def test_other_globals_are_refused(archive: Path, opcodes: bytes) -> None:
    with_pickle(archive, opcodes)
    with pytest.raises(pickle.UnpicklingError, match=r"is not allowed$"):
        read_torchscript(archive)


@pytest.mark.parametrize(
    "stand_in",
    [
        b"c__torch__\nModule\n",
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"ctorch\nHalfStorage\n",
        b"ccollections\nOrderedDict\n",
        b"ctorch.jit._pickle\nrestore_type_tag\n",
    ],
)
@pytest.mark.parametrize(
    "state", [b"}Vkey\nI1\ns", b"(N}V__setstate__\nccollections\nOrderedDict\nst"]
)
def test_stand_ins_cannot_be_changed(
    archive: Path, original: Archived, stand_in: bytes, state: bytes
) -> None:
    with_pickle(archive, stand_in + state + b"b.")
    with pytest.raises((TypeError, AttributeError)):
        read_torchscript(archive)
    assert read_torchscript(original.path).keys() >= original.weights.keys()


class Stored:
    """Half-precision bytes of an archive, by key."""

    def __init__(self, key: str, count: int, kind: Any = torch.HalfStorage) -> None:
        self.pid = ("storage", kind, key, "cpu", count)


class Laid:
    """A tensor over them."""

    def __init__(self, stored: Stored, offset: Any, size: Any, stride: Any) -> None:
        self.arguments = (stored, offset, size, stride, False, OrderedDict())

    def __reduce__(self) -> tuple[Any, ...]:
        return torch._utils._rebuild_tensor_v2, self.arguments


def pickled_module(attributes: object, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Pickle a TorchScript module with these attributes, as `torch.jit.save` does."""
    from io import BytesIO

    module = type("Module", (), {"__module__": "__torch__"})
    monkeypatch.setitem(sys.modules, "__torch__", types.SimpleNamespace(Module=module))

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            return obj.pid if isinstance(obj, Stored) else None

    instance, stream = module(), BytesIO()
    instance.__dict__.update(attributes)
    Pickler(stream, protocol=2).dump(instance)
    return stream.getvalue()


def test_a_pickle_made_by_hand_is_read(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(archive) as stored:
        content = stored.read("ViT-B-16/data/0")
    count = len(content) // 2
    transposed = Laid(Stored("0", count), 1, (2, 3), (1, 2))
    with_pickle(archive, pickled_module({"training": True, "x": transposed}, monkeypatch))
    (name, tensor), *others = read_torchscript(archive).items()
    assert (name, others) == ("x", [])
    numbers = np.frombuffer(content, np.float16)
    assert tensor.tolist() == numbers[[[1, 3, 5], [2, 4, 6]]].tolist()


@pytest.mark.parametrize(
    "laid",
    [
        Laid(Stored("0", 16), 10, (7,), (1,)),  # beyond the end
        Laid(Stored("0", 16), 0, (2, 2), (1, 99)),
        Laid(Stored("0", 16), -1, (2,), (1,)),
        Laid(Stored("0", 16), 0, (2,), (-1,)),
        Laid(Stored("0", 16), 0, (2, 2), (1,)),
        Laid(Stored("0", 16), "0", (2,), (1,)),
        Laid(Stored("0", 10**12), 0, (2,), (1,)),
        Laid(Stored("no such", 16), 0, (2,), (1,)),
        Laid(Stored("../constants.pkl", 16), 0, (2,), (1,)),
        Laid(Stored("0", 16, OrderedDict), 0, (2,), (1,)),
        Laid(Stored("0", "16"), 0, (2,), (1,)),  # type: ignore[arg-type]
    ],
)
def test_tensors_outside_their_bytes(
    archive: Path, monkeypatch: pytest.MonkeyPatch, laid: Laid
) -> None:
    with_pickle(archive, pickled_module({"visual.proj": laid}, monkeypatch))
    with pytest.raises(CheckpointError, match=r"^Cannot read .*\.pt: .+ again\.$"):
        load_checkpoint(archive)


@pytest.mark.parametrize("content", [b"N.", b"}.", b"c__torch__\nModule\n)\x81.", b"(lp0\n0g0\n."])
def test_pickle_of_something_else(archive: Path, content: bytes) -> None:
    with_pickle(archive, content)
    with pytest.raises(CheckpointError):
        load_checkpoint(archive)


def test_module_that_holds_itself(archive: Path) -> None:
    with_pickle(archive, b"\x80\x02c__torch__\nModule\n)\x81q\x00}X\x01\x00\x00\x00ah\x00sb.")
    with pytest.raises(CheckpointError, match="recursion"):
        load_checkpoint(archive)


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.3, 0.9, 0.999])
def test_truncated(archive: Path, share: float) -> None:
    content = archive.read_bytes()
    archive.write_bytes(content[: round(share * len(content))])
    with pytest.raises(CheckpointError, match=r"ViT-B-16\.pt") as error:
        load_checkpoint(archive)
    assert "\n" not in str(error.value)


def test_damaged_bytes(archive: Path) -> None:
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as stored:
        entry = max(stored.infolist(), key=lambda entry: entry.file_size)
    middle = entry.header_offset + entry.file_size // 2
    content[middle] ^= 255
    archive.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"Cannot read .*\.pt: Bad CRC-32"):
        load_checkpoint(archive)


class Named(nn.Module):
    """Parameters by dotted names."""

    def __init__(self, names: dict[str, tuple[int, ...]]) -> None:
        super().__init__()
        for name, size in names.items():
            *path, last = name.split(".")
            module: nn.Module = self
            for part in path:
                if part not in module._modules:
                    module.add_module(part, nn.Module())
                module = module._modules[part]  # type: ignore[assignment]
            module.register_parameter(last, nn.Parameter(torch.zeros(size)))


def test_resnet(tmp_path: Path) -> None:
    names = {
        "visual.conv1.weight": (32, 3, 3, 3),
        "visual.layer1.0.conv1.weight": (64, 64, 1, 1),
        "visual.attnpool.positional_embedding": (50, 64),
        "positional_embedding": (77, 64),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(Named(names)), tmp_path / "RN50.pt")
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(tmp_path / "RN50.pt")
    assert str(error.value) == (
        f"{tmp_path / 'RN50.pt'} is a CLIP with a ResNet; only those with a vision transformer can "
        "be read: ViT-B-32.pt, ViT-B-16.pt, ViT-L-14.pt and ViT-L-14-336px.pt."
    )


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("visual.conv1.weight", None, "has no tensor visual.conv1.weight."),
        ("visual.conv1.weight", (128, 192), "its tensor visual.conv1.weight has shape (128, 192)."),
        ("text_projection", (64, 0), "its tensor text_projection has shape (64, 0)."),
        ("visual.conv1.weight", (100, 3, 8, 8), "its width 100 cannot be divided into heads of 64"),
        ("transformer.resblocks.0.mlp.c_fc.weight", None, "no tensor transformer.resblocks.0.mlp"),
    ],
)
def test_no_clip(original: Archived, name: str, size: tuple[int, ...] | None, message: str) -> None:
    tensors = {key: tensor for key, tensor in original.weights.items() if key != name}
    if size:
        tensors[name] = torch.zeros(size)
    with pytest.raises(CheckpointError) as error:
        openai_config(tensors, path=Path("x.pt"))
    assert str(error.value).startswith("x.pt is not one of OpenAI's CLIPs: ")
    assert message in str(error.value)


def test_tensors_that_do_not_fit(archive: Path) -> None:
    tensors = read_torchscript(archive)
    lacking = {name: tensor for name, tensor in tensors.items() if name != "ln_final.bias"}
    torch.save(lacking, archive)
    with pytest.raises(CheckpointError, match=r"its ViT-B-16\.pt describes\. Missing: ln_final\."):
        load_checkpoint(archive)
    torch.save(tensors | {"visual.proj": torch.zeros(128, 31)}, archive)
    with pytest.raises(
        CheckpointError, match=r"visual\.proj has shape \(128, 31\); its ViT-B-16\.pt"
    ):
        load_checkpoint(archive)


def test_tokenizer_of_another_model(archive: Path, tokenizers: dict[str, Any]) -> None:
    tokenizers["second"].save(str(archive.parent / "tokenizer.json"))
    with pytest.raises(CheckpointError, match=r"token 1, but ViT-B-16\.pt has .* 522: .* together"):
        load_checkpoint(archive)
