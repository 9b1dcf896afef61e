"""The command as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lhtclip


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    source = str(Path(lhtclip.__file__).parents[1])
    return os.environ | {
        "PYTHONPATH": source,
        "LHTCLIP_CACHE": str(tmp_path / "cache"),
        "HF_HOME": str(tmp_path / "hub"),
        "HF_HUB_OFFLINE": "1",
    }


def python(*arguments: object, environment: dict[str, str], **options: Any) -> Any:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


@pytest.mark.parametrize("arguments", [["--help"], ["segment", "--help"], ["segmnet"], ["models"]])
def test_help_and_the_list_of_models_need_no_torch(
    arguments: list[str], environment: dict[str, str]
) -> None:
    code = (
        "import sys; from lhtclip.cli import main; "
        f"main({arguments!r}); sys.exit('torch' in sys.modules)"
    )
    outcome = python("-c", code, environment=environment)
    assert outcome.returncode == 0, outcome.stderr


def test_exit_codes(environment: dict[str, str], tmp_path: Path) -> None:
    assert python("-m", "lhtclip", "--version", environment=environment).returncode == 0
    bad = python(
        *("-m", "lhtclip", "segment", "nowhere.png", "--classes", "cat"),
        environment=environment,
        cwd=tmp_path,
    )
    assert bad.returncode == 2
    assert bad.stdout == ""
    assert bad.stderr.startswith("lhtclip: 'nowhere.png' is not an image file")
    assert len(bad.stderr.splitlines()) == 1


def test_shells_complete_commands(environment: dict[str, str]) -> None:
    asked = {"_LHTCLIP_COMPLETE": "bash_complete", "COMP_WORDS": "lhtclip seg", "COMP_CWORD": "1"}
    outcome = python("-m", "lhtclip", environment=environment | asked)
    assert outcome.stdout == "plain,segment\n"


def test_a_closed_pipe_ends_as_other_tools_do(environment: dict[str, str]) -> None:
    end, pipe = os.pipe()
    os.close(end)
    try:
        outcome = subprocess.run(
            [sys.executable, "-m", "lhtclip", "--help"],
            env=environment,
            stdout=pipe,
            stderr=subprocess.PIPE,
            timeout=120,
        )
    finally:
        os.close(pipe)
    assert (outcome.returncode, outcome.stderr) == (141, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has /dev/full")
@pytest.mark.parametrize("arguments", ["--help", "models", "models --json"])
def test_a_full_disk_behind_stdout_is_one_line(arguments: str, environment: dict[str, str]) -> None:
    with open("/dev/full", "wb") as full:
        outcome = subprocess.run(
            [sys.executable, "-m", "lhtclip", *arguments.split()],
            env=environment,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=120,
        )
    assert outcome.returncode == 2
    assert outcome.stderr == b"lhtclip: Cannot write to stdout: No space left on device.\n"


@pytest.mark.skipif(os.name == "nt", reason="streams are closed by a POSIX shell")
def test_closed_streams_are_no_reason_to_stop(
    environment: dict[str, str], checkpoint: Path, draw: Any, tmp_path: Path
) -> None:
    image, out = draw("one.png"), tmp_path / "out"
    command = f"{sys.executable} -m lhtclip segment {image} --classes cat,sky --model {checkpoint}"
    sizes = "--templates plain --short-side 32 --window 32 --stride 16"
    outcome = subprocess.run(
        f"{command} {sizes} --out {out} <&- >&- 2>&-",
        shell=True,
        env=environment,
        timeout=120,
    )
    assert outcome.returncode == 0
    assert (out / "one.overlay.jpg").is_file()


_STOPPED = """
import os, signal, sys
import lhtclip.cli.models as models
from lhtclip.cli import main
from lhtclip.files.temporaries import temporary_beside
from pathlib import Path

def work(**_):
    with temporary_beside(Path("result")) as half:
        half.write_bytes(b"half")
        try:
            os.kill(os.getpid(), getattr(signal, sys.argv[1]))
        finally:
            if sys.argv[2] == "twice":
                os.kill(os.getpid(), getattr(signal, sys.argv[1]))

models.command.callback = work
sys.exit(main(["models"]))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals between processes")
@pytest.mark.parametrize(
    ("name", "times", "code", "words"),
    [
        ("SIGTERM", "once", 143, "Terminated."),
        ("SIGINT", "once", 130, "Interrupted."),
        ("SIGHUP", "once", 129, "Terminated."),
        ("SIGINT", "twice", 130, "Stopped at once."),
        ("SIGTERM", "twice", 143, "Stopped at once."),
    ],
)
def test_a_signal_is_one_line_and_leaves_nothing(
    name: str, times: str, code: int, words: str, environment: dict[str, str], tmp_path: Path
) -> None:
    outcome = python("-c", _STOPPED, name, times, environment=environment, cwd=tmp_path)
    assert (outcome.returncode, outcome.stderr) == (code, f"lhtclip: {words}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals between processes")
def test_a_signal_while_a_module_loads_is_not_raised_through_it(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "slow.py").write_text(
        "import os, signal\n"
        "try: os.kill(os.getpid(), signal.SIGTERM)\n"
        "except BaseException: os.abort()  # as C++ does\n"
    )
    code = (
        "import lhtclip.cli.models as m, lhtclip.cli as c, sys\n"
        "def load(**_): import slow\n"
        "m.command.callback = load\n"
        "sys.exit(c.main(['models']))"
    )
    outcome = python("-c", code, environment=environment, cwd=tmp_path)
    assert (outcome.returncode, outcome.stderr) == (143, "lhtclip: Terminated.\n")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals between processes")
@pytest.mark.parametrize("error", ["CheckpointError('cannot be read')", "ValueError('a type')"])
def test_a_signal_that_a_library_turned_into_an_error(
    error: str, environment: dict[str, str]
) -> None:
    code = (
        "import lhtclip.cli.models as m, lhtclip.cli as c, os, signal, sys\n"
        "from lhtclip.errors import CheckpointError\n"
        "def fail(**_):\n"
        "    try: os.kill(os.getpid(), signal.SIGTERM)\n"
        f"    except BaseException: raise {error}\n"
        "m.command.callback = fail\n"
        "sys.exit(c.main(['models']))"
    )
    outcome = python("-c", code, environment=environment)
    assert (outcome.returncode, outcome.stderr) == (143, "lhtclip: Terminated.\n")


def test_an_error_of_ours_keeps_its_traceback(environment: dict[str, str]) -> None:
    code = (
        "import lhtclip.cli.models as m, lhtclip.cli as c, sys\n"
        "def fail(**_): raise RuntimeError('a mistake of ours')\n"
        "m.command.callback = fail\n"
        "sys.exit(c.main(['models']))"
    )
    outcome = python("-c", code, environment=environment)
    assert outcome.returncode == 1
    assert "Traceback" in outcome.stderr
    assert "a mistake of ours" in outcome.stderr


def test_segment_from_end_to_end(
    environment: dict[str, str], checkpoint: Path, draw: Any, tmp_path: Path
) -> None:
    draw("one.png")
    outcome = python(
        *("-m", "lhtclip", "segment", "one.png", "--classes", "cat, sky", "--model", checkpoint),
        *("--format", "labels", "--short-side", 32, "--templates", "plain"),
        environment=environment,
        cwd=tmp_path,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.splitlines() == [str(Path("lhtclip-out/one.png"))]
    assert (tmp_path / "lhtclip-out/one.png").is_file()
