"""The server's log: one line per request on stderr, as text or as JSON."""

from __future__ import annotations

import json
import logging
import time
from typing import Any


class _Lines(logging.Formatter):
    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = getattr(record, "fields", {})
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        if self._as_json:
            level, event = record.levelname.lower(), record.getMessage()
            line = json.dumps({"time": when, "level": level, "event": event} | fields)
        else:
            rest = " ".join(f"{name}={value}" for name, value in fields.items())
            line = f"{when} {record.getMessage()} {rest}".rstrip()
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def start_log(*, as_json: bool) -> None:
    """Send the server's log to stderr."""
    log, handler = logging.getLogger("lhtclip.server"), logging.StreamHandler()
    handler.setFormatter(_Lines(as_json=as_json))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
