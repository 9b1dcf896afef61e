from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import LocalEntryNotFoundError

from lhtclip.checkpoints import hub
from lhtclip.checkpoints.hub import OPENAI_ARCHIVES, canonical_name, resolve, tokenizer_of
from lhtclip.checkpoints.known_models import BUNDLED, KNOWN_MODELS, SHORT_NAMES
from lhtclip.errors import CheckpointError, CheckpointNotFoundError, UnknownNameError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SMALL = ("config.json", "tokenizer.json")
COMPLETE = (*SMALL, "model.safetensors")
OPEN_CLIP = ("open_clip_config.json", "tokenizer.json")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, whose use of the network fails the test."""

    def refuse(*_: Any) -> None:
        raise AssertionError("the network was used")

    folder = tmp_path / "hf" / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("lhtclip.checkpoints.fetch.look_up", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def offline(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return cache


def fill(cache: Path, hub_id: str, files: tuple[str, ...]) -> Path:
    """Lay files into a cache as `huggingface_hub` does."""
    repository = cache / ("models--" + hub_id.replace("/", "--"))
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    for file in files:
        (snapshot / file).write_text("x")
    return snapshot


# Names


def test_every_known_model_has_its_own_name_and_id() -> None:
    assert len({model.name for model in KNOWN_MODELS}) == len(KNOWN_MODELS)
    assert len(set(SHORT_NAMES.values())) == len(SHORT_NAMES) == len(KNOWN_MODELS) - 1
    for model in KNOWN_MODELS:
        assert model.note
        assert model.licence
        assert canonical_name(model.name) == (model.address or BUNDLED)
        assert bool(model.file) == bool(model.activation)


@pytest.mark.parametrize(
    ("name", "said"),
    [("ViT-B-16-dfn2b", "research only"), ("ViT-B-16-metaclip", "no commercial use")],
)
def test_limits_of_a_licence_are_said_before_the_download(
    offline: Path, name: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(CheckpointNotFoundError):
        resolve("ViT-B-16-laion2b")
    assert not caplog.text
    with pytest.raises(CheckpointNotFoundError):
        resolve(name)
    assert said in caplog.text


def test_bare_weights(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file without a configuration; its tokenizer is OpenAI's."""
    address = "Zilun/GeoRSCLIP/ckpt/RS5M_ViT-B-32.pt"
    weights = fill(cache, "Zilun/GeoRSCLIP", ()) / "ckpt" / "RS5M_ViT-B-32.pt"
    with pytest.raises(CheckpointNotFoundError, match=r"RS5M_ViT-B-32\.pt of Zilun/GeoRSCLIP"):
        resolve("ViT-B-32-georsclip", download=False)
    weights.parent.mkdir()
    weights.write_text("x")
    with pytest.raises(CheckpointNotFoundError, match="tokenizer"):
        resolve("ViT-B-32-georsclip", download=False)
    fill(cache, "openai/clip-vit-base-patch32", ("tokenizer.json",))
    assert resolve("ViT-B-32-georsclip") == resolve(address) == weights
    assert canonical_name(address) == canonical_name("ViT-B-32-georsclip") == address
    assert not caplog.text
    assert canonical_name("RS5M_ViT-B-32.pt") == "RS5M_ViT-B-32.pt"


def test_a_list_of_words_is_a_tokenizer(cache: Path) -> None:
    files = ("config.json", "vocab.txt", "pytorch_model.bin")
    folder = fill(cache, "OFA-Sys/chinese-clip-vit-base-patch16", files)
    assert resolve("ViT-B-16-chinese") == folder


def test_limits_are_not_said_of_what_is_here(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    fill(cache, SHORT_NAMES["ViT-B-16-dfn2b"], COMPLETE)
    resolve("ViT-B-16-dfn2b")
    assert not caplog.text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ViT-B-16", "openai/clip-vit-base-patch16"),
        ("ViT-L-14-336", "openai/clip-vit-large-patch14-336"),
        ("ViT-B-16-dfn2b", "apple/DFN2B-CLIP-ViT-B-16"),
        ("ViT-L-16-siglip2", "google/siglip2-large-patch16-256"),
        ("openai/clip-vit-base-patch16", "openai/clip-vit-base-patch16"),
        ("me/My_model-2.0", "me/My_model-2.0"),
        ("bundled", "bundled"),
        ("./bundled", "bundled"),  # a path, written as pathlib writes it
        ("/models/clip", "/models/clip"),
        ("models/clip/large", "models/clip/large"),
        (Path("me/model"), "me/model"),
        ("ViT-B-16.pt", "ViT-B-16.pt"),
        ("me/model.pt", "me/model.pt"),
    ],
)
def test_canonical_name(cache: Path, name: str | Path, expected: str) -> None:
    assert canonical_name(name) == expected


def test_an_existing_folder_is_no_hub_id(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "me" / "model").mkdir(parents=True)
    assert resolve("me/model") == Path("me/model")
    assert canonical_name("me/model") == "me/model"


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("ViT-B-61", "Did you mean 'ViT-B-16'? "),
        ("vit-l-41", "Did you mean 'ViT-L-14'? "),
        ("Bundled", "Did you mean 'bundled'? "),
        ("segformer", ""),
        ("", ""),
    ],
)
def test_unknown_short_name(cache: Path, name: str, guess: str) -> None:
    for function in (resolve, canonical_name):
        with pytest.raises(UnknownNameError) as error:
            function(name)
        message = f"Unknown model {name!r}. {guess}Available: bundled, ViT-B-16, ViT-B-32, "
        assert str(error.value).startswith(message)


# Folders


def test_existing_folder(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for name in ("mine", "./mine", "mine/", str(folder), "~/mine", folder, Path("mine")):
        assert resolve(name).resolve() == folder.resolve()


@pytest.mark.parametrize("name", ["./no", "../no", "~/no", "/no/where", "a/b/c", "no/", Path("no")])
def test_missing_folder(cache: Path, name: str | Path) -> None:
    with pytest.raises(CheckpointNotFoundError, match=r"^There is no checkpoint folder .*no|a/b/c"):
        resolve(name)


def test_file_in_place_of_a_folder(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.safetensors").touch()
    with pytest.raises(
        CheckpointError,
        match=r"safetensors is a file; a checkpoint is a folder .* archives, \*\.pt",
    ):
        resolve("weights/model.safetensors")


def test_a_folder_does_not_shadow_a_known_name(offline: Path, tmp_path: Path) -> None:
    (tmp_path / "ViT-B-16").mkdir()
    (tmp_path / "bundled").mkdir()
    with pytest.raises(CheckpointNotFoundError, match="openai/clip-vit-base-patch16"):
        resolve("ViT-B-16")
    assert resolve("./ViT-B-16") == Path("ViT-B-16")
    assert canonical_name("ViT-B-16") == SHORT_NAMES["ViT-B-16"]
    assert resolve("./bundled") == Path("bundled")


def test_bundled(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Path(hub.__file__).parent.parent / "data" / "bundled" == hub.BUNDLED_FOLDER
    monkeypatch.setattr(hub, "BUNDLED_FOLDER", tmp_path)
    assert resolve("bundled") == tmp_path
    monkeypatch.setattr(hub, "BUNDLED_FOLDER", tmp_path / "none")
    with pytest.raises(CheckpointNotFoundError, match="This installation lacks the bundled model"):
        resolve("bundled")


# OpenAI's archives


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    (tmp_path / "weights").mkdir()
    path = tmp_path / "weights" / "ViT-B-16.pt"
    path.write_bytes(b"not theirs")
    return path


def test_archive_with_a_tokenizer_beside_it(offline: Path, archive: Path) -> None:
    beside = archive.parent / "tokenizer.json"
    beside.touch()
    assert resolve("weights/ViT-B-16.pt") == Path("weights/ViT-B-16.pt")
    assert resolve(archive) == archive
    assert tokenizer_of(archive) == beside
    fill(offline, "openai/clip-vit-base-patch32", ("tokenizer.json",))
    assert tokenizer_of(archive) == beside


def test_archive_with_the_cached_tokenizer(cache: Path, archive: Path) -> None:
    snapshot = fill(cache, "openai/clip-vit-base-patch32", ("tokenizer.json",))
    assert resolve(archive) == archive  # and the network was not used
    assert tokenizer_of(archive) == snapshot / "tokenizer.json"


def test_archive_without_a_tokenizer(offline: Path, archive: Path) -> None:
    for find in (resolve, tokenizer_of):
        with pytest.raises(CheckpointNotFoundError) as error:
            find(archive)
        assert str(error.value).startswith(
            f"{archive} carries no tokenizer, and there is no tokenizer.json next to it. "
            f"tokenizer.json of openai/clip-vit-base-patch32 is not in the cache {offline}, and "
        )
        assert "Run `lhtclip download ViT-B-32` on a connected machine" in str(error.value)


def test_archive_whose_tokenizer_is_fetched(
    cache: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []

    def download(*arguments: Any, local_files_only: bool) -> str:
        asked.append((*arguments, local_files_only))
        return "fetched/tokenizer.json"

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    assert resolve(archive) == archive
    assert tokenizer_of(archive, download=True) == Path("fetched/tokenizer.json")
    assert asked == 2 * [("openai/clip-vit-base-patch32", "tokenizer.json", False)]


@pytest.mark.parametrize("name", ["no.pt", "./no.pt", "me/no.pt", Path("no.pt")])
def test_missing_archive(cache: Path, name: str | Path) -> None:
    with pytest.raises(CheckpointNotFoundError, match=r"^There is no checkpoint file .*no\.pt\."):
        resolve(name)


def test_a_folder_called_like_an_archive(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.pt").mkdir()
    assert resolve("mine.pt") == Path("mine.pt")


def test_archives_of_openai_are_known_by_their_content(
    cache: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(OPENAI_ARCHIVES.values()) < set(SHORT_NAMES.values())
    assert all(len(bytes.fromhex(digest)) == 32 for digest in OPENAI_ARCHIVES)
    content = b"as published"
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setitem(OPENAI_ARCHIVES, digest, "openai/clip-vit-base-patch16")
    assert canonical_name(archive) == str(archive)
    archive.write_bytes(content)
    assert canonical_name(archive) == "openai/clip-vit-base-patch16"
    assert canonical_name("weights/ViT-B-16.pt") == "openai/clip-vit-base-patch16"
    archive.write_bytes(content + b", and changed")
    assert canonical_name(archive) == str(archive)


# Cache


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("download", [True, False])
def test_cached_model_needs_no_network(cache: Path, weights: str, download: bool) -> None:
    snapshot = fill(cache, "openai/clip-vit-base-patch16", (*SMALL, weights))
    assert resolve("ViT-B-16", download=download) == snapshot
    assert resolve("openai/clip-vit-base-patch16", download=download) == snapshot


@pytest.mark.parametrize("weights", ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"])
def test_cached_model_of_open_clip_needs_no_network(cache: Path, weights: str) -> None:
    snapshot = fill(cache, "laion/CLIP-ViT-B-16-laion2B-s34B-b88K", (*OPEN_CLIP, weights))
    assert resolve("ViT-B-16-laion2b") == snapshot


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        # Weights of one layout do not complete the other, and a config.json comes first.
        ((*OPEN_CLIP, "model.safetensors"), "open_clip_model.safetensors"),
        ((*SMALL, "preprocessor_config.json", "open_clip_model.safetensors"), "model.safetensors"),
        (
            (*OPEN_CLIP, *SMALL, "preprocessor_config.json", "open_clip_model.safetensors"),
            "model.safetensors",
        ),
        (("open_clip_config.json", "open_clip_model.safetensors"), "tokenizer.json"),
    ],
)
def test_layouts_are_not_mixed(cache: Path, files: tuple[str, ...], wanted: str) -> None:
    fill(cache, "me/model", tuple(dict.fromkeys(files)))
    with pytest.raises(CheckpointNotFoundError, match=f"^{wanted} of me/model is not in the cache"):
        resolve("me/model", download=False)


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ((), "config.json"),
        (("config.json",), "tokenizer.json"),
        (SMALL, "model.safetensors"),  # not preprocessor_config.json, which is optional
        ((*SMALL, "preprocessor_config.json"), "model.safetensors"),
    ],
)
def test_offline(offline: Path, files: tuple[str, ...], wanted: str) -> None:
    fill(offline, "openai/clip-vit-base-patch16", files)
    with pytest.raises(CheckpointNotFoundError) as error:
        resolve("ViT-B-16")
    assert str(error.value) == (
        f"{wanted} of openai/clip-vit-base-patch16 is not in the cache {offline}, and "
        "HF_HUB_OFFLINE forbids downloading it. Run `lhtclip download ViT-B-16` on a connected "
        "machine and copy its HF_HOME folder (by default ~/.cache/huggingface) here, with "
        "HF_HOME set to the copy; the model 'bundled' needs no network."
    )


def test_download_not_wanted(cache: Path) -> None:
    with pytest.raises(
        CheckpointNotFoundError, match=r"config\.json of me/model .* downloads are turned off"
    ):
        resolve("me/model", download=False)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (LocalEntryNotFoundError("..."), "the hub cannot be reached"),
        (OSError("No space left\non device"), "the download failed (No space left)"),
        (TimeoutError(), "the download failed (TimeoutError)"),
    ],
)
def test_failing_client(
    cache: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def fail(*_: Any, **__: Any) -> str:
        raise error

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)
    with pytest.raises(CheckpointNotFoundError) as raised:
        resolve("me/model")
    assert f"config.json of me/model is not in the cache {cache}, and " in str(raised.value)
    assert f", and {message}. Run `lhtclip download me/model` on" in str(raised.value)


# The real client against a small hub on this machine

PARTS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
REPOSITORIES: dict[str, tuple[str, ...]] = {
    "me/modern": (*COMPLETE, "preprocessor_config.json", "pytorch_model.bin", "README.md"),
    "me/early": (*SMALL, "pytorch_model.bin", "tf_model.h5"),
    "me/open_clip": (*OPEN_CLIP, "open_clip_model.safetensors", "open_clip_pytorch_model.bin"),
    "me/open_clip-early": (*OPEN_CLIP, "open_clip_pytorch_model.bin", "preprocessor_config.json"),
    "me/both": (*COMPLETE, *OPEN_CLIP, "open_clip_model.safetensors"),
    "me/parts": (*SMALL, "model.safetensors.index.json", *PARTS, "pytorch_model.bin"),
    "me/old-tokenizer": ("config.json", "vocab.json", "merges.txt", "model.safetensors"),
    "me/hostile": (*SMALL, "model.safetensors.index.json", "..%2f..%2fhome"),
    "me/neither": ("tokenizer.json", "model.safetensors"),
    "me/no-weights": SMALL,
    "me/no-open_clip-weights": (*OPEN_CLIP, "model.safetensors"),
}


class Hub(BaseHTTPRequestHandler):
    """Answers /organisation/name/resolve/main/file."""

    requests: list[str]

    def do_HEAD(self) -> None:
        _, organisation, name, _, _, file = self.path.split("/")
        self.requests.append(f"{self.command} {name}/{file}")
        files = REPOSITORIES.get(f"{organisation}/{name}")
        if files is None:
            gated = name == "gated"
            self.send_response(403 if gated else 404)
            self.send_header("X-Error-Code", "GatedRepo" if gated else "RepoNotFound")
        elif file not in files:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("X-Repo-Commit", COMMIT)
        else:
            self.send_response(200)
            self.send_header("X-Repo-Commit", COMMIT)
            content = self.path.encode()
            if file.endswith(".index.json"):
                parts = PARTS if name == "parts" else ("../../home", "model.safetensors")
                weights = {f"tensor {number}": part for number, part in enumerate(parts)}
                content = json.dumps({"weight_map": weights}).encode()
            self.send_header("ETag", f'"{name}-{file}"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)
            return
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    Hub.requests = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


SCRIPT = """
import json, sys, time
from huggingface_hub import get_hf_file_metadata, hf_hub_download  # takes a while
from lhtclip.checkpoints.hub import resolve
from lhtclip.errors import LhtClipError
results, start = {}, time.monotonic()
for name in sys.argv[1:]:
    try:
        results[name] = str(resolve(name))
    except LhtClipError as error:
        results[name] = f"{type(error).__name__}: {error}"
print(json.dumps(results | {"seconds": time.monotonic() - start}))
"""


def resolve_elsewhere(
    home: Path, names: list[str], *, timed: bool = False, **environment: str
) -> dict[str, Any]:
    """Resolve names in another process, whose huggingface_hub reads its environment anew."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("HF_") and not key.lower().endswith("_proxy")
    }
    paths = os.pathsep.join(path for path in sys.path if path)
    own = {"HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", "PYTHONPATH": paths}
    finished = subprocess.run(
        [sys.executable, "-c", SCRIPT, *names],
        env=kept | own | environment,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = json.loads(finished.stdout)
    return found if timed else {name: found[name] for name in names}


def test_real_client(tmp_path: Path, server: ThreadingHTTPServer) -> None:
    names = [*REPOSITORIES, "me/unknown", "me/gated", "me/bad--name"]
    endpoint = f"http://127.0.0.1:{server.server_port}"
    found = resolve_elsewhere(tmp_path, names, HF_ENDPOINT=endpoint)

    snapshots = {
        name: tmp_path / "hub" / f"models--me--{name[3:]}" / "snapshots" / COMMIT for name in names
    }
    for name, *fetched, weights in (
        ("me/modern", *SMALL, "preprocessor_config.json", "model.safetensors"),
        ("me/early", *SMALL, "pytorch_model.bin"),
        ("me/open_clip", *OPEN_CLIP, "open_clip_model.safetensors"),
        ("me/open_clip-early", *OPEN_CLIP, "open_clip_pytorch_model.bin"),
        ("me/both", *SMALL, "model.safetensors"),
        ("me/parts", *SMALL, "model.safetensors.index.json", *PARTS),
        ("me/old-tokenizer", "config.json", "vocab.json", "merges.txt", "model.safetensors"),
    ):
        assert found[name] == str(snapshots[name])
        assert {path.name for path in snapshots[name].iterdir()} == {*fetched, weights}
        content = (snapshots[name] / weights).read_text()
        assert content == f"/{name}/resolve/main/{weights}"

    assert found["me/hostile"].startswith("CheckpointError: ")
    assert "should name the parts" in found["me/hostile"]
    missing = "CheckpointNotFoundError: The model {} has no {} on the hub; only models in the "
    for name, files in (
        ("me/neither", "config.json or open_clip_config.json"),
        ("me/no-weights", "model.safetensors or pytorch_model.bin"),
        (
            "me/no-open_clip-weights",
            "open_clip_model.safetensors or open_clip_pytorch_model.bin",
        ),
    ):
        assert found[name].startswith(missing.format(name, files))
    for name in ("me/unknown", "me/gated", "me/bad--name"):
        assert found[name].startswith(f"CheckpointNotFoundError: The hub has no model {name} ")

    # What is cached needs no network, and what is not is named.
    Hub.requests.clear()
    names = ["me/modern", "me/early", "me/open_clip", "me/parts", "me/old-tokenizer"]
    again = resolve_elsewhere(tmp_path, names, HF_ENDPOINT=endpoint)
    assert again == {name: str(snapshots[name]) for name in names}
    assert Hub.requests == []
    names = ["me/modern", "ViT-B-16"]
    (snapshots["me/parts"] / PARTS[1]).unlink()  # as after an interruption
    resolve_elsewhere(tmp_path, ["me/parts"], HF_ENDPOINT=endpoint)
    assert Hub.requests[-1].endswith(f"parts/{PARTS[1]}")
    assert (snapshots["me/parts"] / PARTS[1]).is_file()
    offline = resolve_elsewhere(tmp_path, names, HF_HUB_OFFLINE="1")
    assert offline["me/modern"] == str(snapshots["me/modern"])
    assert f"not in the cache {tmp_path / 'hub'}, and HF_HUB_OFFLINE" in offline["ViT-B-16"]


@pytest.mark.parametrize("listens", [False, True])
def test_no_hub_is_told_within_three_seconds(tmp_path: Path, listens: bool) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # connections are refused, or accepted and never answered
        if listens:
            silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        found = resolve_elsewhere(tmp_path, ["ViT-B-16"], timed=True, HF_ENDPOINT=endpoint)
    assert "and the hub cannot be reached. Run `lhtclip download ViT-B-16`" in found["ViT-B-16"]
    assert found["seconds"] < 3
