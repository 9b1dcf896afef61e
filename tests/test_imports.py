"""Imports run downwards through the floors of CONTRIBUTING's map, and never in a circle."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "lhtclip"
MAX_LOOSE = 8


def floors() -> list[list[str]]:
    """The map's rooms, highest floor first; a line that holds only │ parts two floors."""
    tree = re.search(
        r"```text\nsrc/lhtclip/\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.S
    )
    assert tree, "CONTRIBUTING.md has no map of src/lhtclip"
    groups = re.split(r"^│$", tree[1], flags=re.M)
    return [re.findall(r"^[├└]── (\w+)(?:/|\.py)", group, re.M) for group in groups]


def imports() -> dict[str, set[str]]:
    """What each module imports from the package, also inside functions; not its version."""
    files = {_name(path): path for path in PACKAGE.rglob("*.py")}
    found: dict[str, set[str]] = {name: set() for name in files}
    for module, path in files.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{module} imports relatively"
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            for name in names:
                target = name if name in files else name.rpartition(".")[0]
                if target in files and name != "lhtclip.__version__":
                    found[module].add(target)
    return found


def _name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(
        ".__init__"
    )


def _is_room(path: Path) -> bool:
    return path.is_dir() and next(path.glob("*.py"), None) is not None


def _room(module: str) -> str:
    return [*module.split("."), "__init__"][1]


def test_the_map_shows_every_room_once() -> None:
    rooms = [path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or _is_room(path)]
    rooms = [name for name in rooms if not name.startswith("_")]
    assert sorted(name for floor in floors() for name in floor) == sorted(rooms)
    assert (
        sum(path.suffix == ".py" and path.stem[0] != "_" for path in PACKAGE.iterdir()) <= MAX_LOOSE
    )


def test_imports_run_downwards() -> None:
    height = {room: -number for number, floor in enumerate(floors()) for room in floor}
    height |= {"__init__": 1, "__main__": 1}
    wrong = [
        f"{module} imports {target}"
        for module, targets in imports().items()
        for target in targets
        if _room(module) != _room(target) and height[_room(module)] <= height[_room(target)]
    ]
    assert wrong == []


def test_tests_do_not_import_each_other() -> None:
    wrong = [
        f"{path.name}: {line}"
        for path in (ROOT / "tests").rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.match(r"from tests[\w.]*\.test_\w+ import", line)
    ]
    assert wrong == []


def test_no_module_imports_itself_in_a_circle() -> None:
    TopologicalSorter(imports()).prepare()  # raises CycleError, which shows the circle
