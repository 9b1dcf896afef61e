"""What Nuclio looks for in the folder of a function."""

from lhtclip.server.protocols.cvat_nuclio import handler, init_context

__all__ = ["handler", "init_context"]
