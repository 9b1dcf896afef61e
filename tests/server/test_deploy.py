"""The files in deploy/: every command in them is one that `lhtclip` understands."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import click
import pytest

from lhtclip.cli import serve

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def _commands() -> list[tuple[str, list[str]]]:
    """Return where each `lhtclip serve` stands, and its arguments."""
    found: list[tuple[str, list[str]]] = []
    for path in sorted(DEPLOY.rglob("*")):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            for line in re.findall(r"^(?:ENTRYPOINT|CMD) (\[.*\])$", text, re.M):
                found.append((path.name, json.loads(line)))
            for line in re.findall(r"^ExecStart=(.*)$", text, re.M):
                found.append((path.name, shlex.split(line)))
    return found


@pytest.mark.parametrize(("file", "words"), _commands())
def test_the_options_exist(file: str, words: list[str]) -> None:
    program, command, *arguments = words
    assert (Path(program).name, command) == ("lhtclip", "serve"), file
    serve.command.make_context("serve", arguments)
    with pytest.raises(click.UsageError):
        serve.command.make_context("serve", [*arguments, "--no-such-option"])


def test_every_kind_of_file_has_its_command() -> None:
    assert len(_commands()) == 4


@pytest.mark.parametrize("path", sorted(DEPLOY.glob("Dockerfile*")), ids=lambda path: path.name)
def test_a_container_copies_what_there_is_and_is_no_root(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for line in re.findall(r"^COPY (.*)$", text, re.M):
        *sources, _ = line.split()
        assert all((ROOT / each).exists() for each in sources)
    assert text.index("\nUSER lhtclip\n") < text.index("\nENTRYPOINT")
    (volume,) = re.findall(r"^VOLUME (.*)$", text, re.M)
    assert f"install -d -o lhtclip {volume}" in text  # a volume starts with its owner
    assert "HEALTHCHECK" in text


@pytest.mark.parametrize("name", ["space", "space-static"])
def test_a_space_describes_itself(name: str) -> None:
    head = (DEPLOY / name / "README.md").read_text(encoding="utf-8").split("---\n")[1]
    entries = dict(re.findall(r"^(\w+): (.*)$", head, re.M))
    assert entries["license"] == "apache-2.0"
    assert entries["sdk"] == ("docker" if name == "space" else "static")
    if name == "space":
        docker = (DEPLOY / name / "Dockerfile").read_text(encoding="utf-8")
        assert f'"--port", "{entries["app_port"]}"' in docker


def test_the_build_sends_what_is_copied_and_no_more() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    texts = [path.read_text(encoding="utf-8") for path in DEPLOY.glob("Dockerfile*")]
    lines = [line for text in texts for line in re.findall(r"^COPY (.*)$", text, re.M)]
    copied = {source for line in lines for source in line.split()[:-1]}
    assert "*" in ignored
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
