"""A client of `lhtclip serve` with typed methods; it uses only the standard library."""

from __future__ import annotations

import base64
import io
import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lhtclip.errors import InputError, LhtClipError, check_kind, is_number, reason_of, shown
from lhtclip.files.regular_files import open_regular

ClassList = str | Sequence[str | Sequence[str]]


class ServerError(LhtClipError):
    """The server refused a request, or did not answer.

    Attributes:
        status: HTTP status; 0 if there was no answer.
        retry_after: Seconds after which the server asks for a retry, or None.
    """

    def __init__(self, detail: str, *, status: int = 0, retry_after: float | None = None) -> None:
        """Store the server's answer."""
        super().__init__(detail)
        self.status, self.retry_after = status, retry_after


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The server's answer for an image.

    Attributes:
        labels: Class indices (height, width), uint8 or uint16.
        names: One name per class.
        shares: Share of all pixels per class, in [0, 1].
        document: The whole answer, in JSON types.
    """

    labels: NDArray[np.uint8] | NDArray[np.uint16]
    names: tuple[str, ...]
    shares: tuple[float, ...]
    document: dict[str, Any]


class Client:
    """A connection to one server: `with Client() as client: client.segment(...)`."""

    def __init__(
        self, url: str = "http://127.0.0.1:8000", *, token: str | None = None, timeout: float = 120
    ) -> None:
        """Store the server's address; nothing is sent yet.

        Args:
            url: Where the server listens.
            token: The server's token, if it has one.
            timeout: Seconds to wait for an answer.

        Raises:
            InputError: The address is not one of HTTP.
        """
        check_kind("url", url, str)
        check_kind("token", token, str, type(None))
        if not (is_number(timeout) and timeout > 0):
            raise InputError(f"The timeout must be above 0 seconds, not {shown(timeout)}.")
        if not url.startswith(("http://", "https://")):
            raise InputError(f"A server's address starts with http:// or https://, not {url!r}.")
        self._url, self._token, self._timeout = url.rstrip("/"), token, timeout

    def __enter__(self) -> Client:
        """Return the client itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """There is nothing to close."""

    def segment(
        self,
        image: str | Path | bytes,
        classes: ClassList,
        *,
        background: str | None = None,
        threshold: float | None = None,
        method: str | None = None,
        lht: bool | None = None,
        gains: Mapping[str, Any] | None = None,
        model: str | None = None,
    ) -> Answer:
        """Label every pixel of one image in one call.

        Args:
            image: A path, or the bytes of an image file.
            classes: As in `Segmenter.segment`.
            background: Prompts for pixels of no class.
            threshold: Pixels whose winner scores less become background.
            method: A method's name; None for the server's own.
            lht: All techniques on or off; None for the server's own setting.
            gains: What raises mIoU without training, by name, such as {"refine": "pamr"}; the
                server's page `/docs` lists all.
            model: A name of `models`; None for the server's first.

        Raises:
            ServerError: The server refused or cannot be reached.
        """
        with self.encode(image) as encoded:
            return encoded.segment(
                classes,
                background=background,
                threshold=threshold,
                method=method,
                lht=lht,
                gains=gains and dict(gains),
                model=model,
            )

    def encode(self, image: str | Path | bytes) -> RemoteImage:
        """Upload an image once, to label it with any number of class lists.

        Raises:
            ServerError: The server refused or cannot be reached.
            InputError: The file cannot be read.
        """
        answer = self.call("POST", "/v1/images", _bytes(image), "application/octet-stream")
        return RemoteImage(self, answer["id"], answer["width"], answer["height"])

    def methods(self) -> list[str]:
        """List the names of the server's methods."""
        return [each["name"] for each in self.call("GET", "/v1/methods")["methods"]]

    def models(self) -> list[str]:
        """List the names of the server's models; the first is the default."""
        return [each["name"] for each in self.call("GET", "/v1/models")["models"]]

    def ready(self) -> bool:
        """Return whether the server accepts requests."""
        try:
            self.call("GET", "/readyz")
        except ServerError:
            return False
        return True

    def call(
        self, verb: str, path: str, body: bytes | None = None, kind: str = "application/json"
    ) -> Any:
        """Send one request and return its JSON answer, or None for an empty one.

        Raises:
            ServerError: The server refused or cannot be reached.
        """
        headers = {"Content-Type": kind} if body is not None else {}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        request = urllib.request.Request(self._url + path, body, headers, method=verb)
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                content: bytes = answer.read()
        except urllib.error.HTTPError as error:
            raise _refused(error) from None
        except OSError as error:
            raise ServerError(
                f"No server responds at {self._url}: {error}. Start one with `lhtclip serve`."
            ) from error
        return json.loads(content) if content else None


@dataclass(frozen=True, slots=True)
class RemoteImage:
    """An image that the server keeps encoded.

    Attributes:
        client: The client that uploaded it.
        id: Its id on the server.
        width: Pixels.
        height: Pixels.
    """

    client: Client
    id: str
    width: int
    height: int

    def segment(self, classes: ClassList, **more: Any) -> Answer:
        """Label every pixel; further arguments as in `Client.segment`.

        Raises:
            ServerError: The server refused, or has forgotten the image.
        """
        asked = {"classes": classes, "include": ["labels"], **more}
        document = self._post("segment", asked)
        with Image.open(io.BytesIO(base64.b64decode(document["labels"]))) as picture:
            labels = np.array(picture)
        if labels.dtype != np.uint8:
            labels = labels.astype(np.uint16)

        classes_ = document["classes"]
        return Answer(
            labels=labels,
            names=tuple(each["name"] for each in classes_),
            shares=tuple(each["share"] for each in classes_),
            document=document,
        )

    def probe(self, x: int, y: int, classes: ClassList, *, k: int = 5) -> dict[str, float]:
        """Return the best classes at one pixel with their probabilities, best first.

        Raises:
            ServerError: The server refused, or has forgotten the image.
        """
        best = self._post("probe", {"x": x, "y": y, "classes": classes, "k": k})["classes"]
        return {each["name"]: each["probability"] for each in best}

    def forget(self) -> None:
        """Make the server forget the image."""
        self.client.call("DELETE", f"/v1/images/{self.id}")

    def __enter__(self) -> RemoteImage:
        """Return the image itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Make the server forget the image, unless the server itself failed."""
        if kind is None:
            self.forget()

    def _post(self, what: str, asked: dict[str, Any]) -> dict[str, Any]:
        path = f"/v1/images/{self.id}/{what}"
        return self.client.call("POST", path, json.dumps(asked).encode())


def _bytes(image: str | Path | bytes) -> bytes:
    if isinstance(image, bytes):
        return image
    try:
        with open_regular(image) as file:
            return file.read()
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read {image}: {reason_of(error)}.") from error


def _refused(error: urllib.error.HTTPError) -> ServerError:
    try:
        detail = json.loads(error.read())["detail"]
    except (ValueError, KeyError, TypeError):
        detail = f"The server answered {error.code}."
    after = error.headers.get("Retry-After")
    return ServerError(detail, status=error.code, retry_after=float(after) if after else None)
