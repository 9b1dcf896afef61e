"""Fill docs/reports/results.md with the tables that `lhtclip reproduce` wrote.

`python -m docs.results runs/results` fills the tables between their marks.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from lhtclip.files import write_atomically

PAGE = Path(__file__).with_name("reports") / "results.md"
TABLES = ("table1", "atr", "ssr", "she", "combination", "stack", "efficiency")


def main() -> None:
    """Fill every table of the page that the folder holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="the --out of `lhtclip reproduce`")
    folder = parser.parse_args().folder
    page = PAGE.read_text(encoding="utf-8")
    for name in TABLES:
        if (folder / f"{name}.md").is_file():
            page = filled(page, name, _body(folder, name))
    write_atomically(PAGE, page.encode())


def filled(page: str, name: str, body: str) -> str:
    """Replace the text between the marks of a table."""
    marks = f"<!-- {name}: by docs.results -->", f"<!-- end of {name} -->"
    pattern = re.escape(marks[0]) + ".*?" + re.escape(marks[1])
    return re.sub(pattern, lambda _: f"{marks[0]}\n{body}\n{marks[1]}", page, flags=re.DOTALL)


def _body(folder: Path, name: str) -> str:
    _, _, table = (folder / f"{name}.md").read_text(encoding="utf-8").strip().partition("\n\n")
    about = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    machine = about["hardware"]
    threads = f"{machine['threads']} thread{'s' * (machine['threads'] > 1)}"
    place = f"{threads} of {machine['gpu'] or machine['cpu']}, {about['dtype']}"
    counts = about.get("images", {}).items()
    images = "".join(f", {count} images of {key}" for key, count in counts)
    return f"*{about['model']}{images}; {place}, torch {about['versions']['torch']}.*\n\n{table}"


if __name__ == "__main__":
    main()
