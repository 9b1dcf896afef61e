"""The page without a server: a folder of files that any web server can hand out.

`export_page` writes it. The browser runs the exported graphs with ONNX Runtime's WebAssembly; the
scripts in `local/` do in JavaScript what the library does around them.
"""

from __future__ import annotations

from lhtclip.static_page.export import export_page

__all__ = ["export_page"]
