"""Limits and addresses of the server, one frozen record."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from lhtclip.errors import InputError
from lhtclip.files.fields import check_fields

_ABOVE_ZERO = (
    *("max_bytes", "max_pixels", "max_classes", "max_characters", "queue", "batch_images"),
    *("timeout", "body_timeout"),
)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """All settings of the server except those of the model.

    Attributes:
        host: Address to listen on.
        port: TCP port; 0 lets the system choose one.
        token: Clients must send it as `Authorization: Bearer TOKEN`; None requires none.
        no_token: Allow access without a token on an address that other machines can reach.
        cors: Origins whose pages may call the service; none by default.
        label_studio: Address of a Label Studio server whose images may be fetched; None for none.
        label_studio_token: Token for that server.
        root: Folder whose images the page may list and label; None turns the batch view off.
        max_bytes: Largest request body.
        max_pixels: Largest image, height x width.
        max_classes: Maximum number of classes per request.
        max_characters: Maximum number of characters of all prompts per request.
        queue: Maximum number of requests waiting for the model; further ones get 503.
        batch_images: Maximum number of images encoded together.
        batch_delay: Seconds to wait for further images after the first.
        timeout: Seconds until a waiting request gets 504.
        body_timeout: Seconds that a client may take to send its body.
        cache_bytes: Memory for encoded images; the least recently used are dropped first.
        idle_seconds: Seconds until an unused encoded image expires.
        log_json: Write the log as one JSON object per line.
        aliases: What is added to the prompts of classes, as for `with_aliases`; None for nothing.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    no_token: bool = False
    cors: tuple[str, ...] = ()
    label_studio: str | None = None
    label_studio_token: str | None = None
    root: Path | None = None
    max_bytes: int = 64 << 20
    max_pixels: int = 50_000_000
    max_classes: int = 1_000
    max_characters: int = 50_000
    queue: int = 32
    batch_images: int = 8
    batch_delay: float = 0.005
    timeout: float = 120.0
    body_timeout: float = 60.0
    cache_bytes: int = 2 << 30
    idle_seconds: float = 3_600.0
    log_json: bool = False
    aliases: str | None = None

    def __post_init__(self) -> None:
        """Refuse senseless numbers, and addresses that would be open to everyone."""
        check_fields(self)
        for name in _ABOVE_ZERO:
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be above 0, got {getattr(self, name)!r}.")
        if not 0 <= self.port <= 65535:
            raise InputError(f"The port must be from 0 to 65535, got {self.port}.")
        if self.token is not None and not self.token.strip():
            raise InputError("The token is empty. Give a long random one, or none.")
        if not self.is_local and self.token is None and not self.no_token:
            raise InputError(
                f"The address {self.host} can be reached from other machines. Set a token "
                "(--token-file FILE or LHTCLIP_TOKEN), or pass --no-token to let anyone in."
            )
        scheme = urlsplit(self.label_studio or "http:").scheme
        if scheme not in ("http", "https"):
            raise InputError(f"Label Studio's address must be http or https, got {scheme!r}.")
        if self.root is not None and not self.root.is_dir():
            raise InputError(f"{self.root} is not a folder. Give --root a folder of images.")

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the address."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
