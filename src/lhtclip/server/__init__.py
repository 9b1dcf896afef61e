"""The server: a page for people and a REST service for programs, in one process.

`create_app` builds the ASGI application and `serve` runs it. The package calls the library only;
nothing else imports it. It needs the extra `lhtclip[serve]`.
"""

from __future__ import annotations

from lhtclip.server.settings import ServerSettings

__all__ = ["ServerSettings"]
