"""Images on a Label Studio server, fetched with either kind of its tokens; from no other server."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from functools import lru_cache
from typing import Any
from urllib.parse import urljoin, urlsplit

from lhtclip.server.problems import Problem

_SECONDS = 20
_UNAUTHORIZED = 401


class LabelStudioFiles:
    """Files of one Label Studio server.

    Since version 1.20 its tokens are "personal access tokens", which are exchanged for others that
    are good for minutes. Older, "legacy" tokens are sent as they are.
    """

    def __init__(self, url: str, token: str | None, limit: int) -> None:
        """Store where the server is; nothing is sent yet.

        Args:
            url: Its address.
            token: Of a user, of either kind; None sends none.
            limit: Most bytes of a file.
        """
        self._url, self._token, self._limit = url.rstrip("/") + "/", token, limit
        self._access: str | None = None

    def get(self, path: str) -> bytes:
        """Fetch a file.

        Args:
            path: As a task names it: a path on the server, or a whole URL.

        Raises:
            Problem: It lies elsewhere, is too large, or cannot be fetched.
        """
        url = urljoin(self._url, path)
        if urlsplit(url)[:2] != urlsplit(self._url)[:2]:
            raise Problem(422, "task", f"The image does not lie on {self._url}; it is not fetched.")
        try:
            try:
                data = self._open(urllib.request.Request(url, headers=self._headers()))
            except urllib.error.HTTPError as error:
                if error.code != _UNAUTHORIZED or self._access is None:
                    raise
                self._access = None  # it has expired
                data = self._open(urllib.request.Request(url, headers=self._headers()))
        except urllib.error.HTTPError as error:
            hint = " Set LABEL_STUDIO_API_KEY to a token." if error.code == _UNAUTHORIZED else ""
            raise _unfetched(self._url, f"it answers {error.code}.{hint}") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _unfetched(self._url, f"{error}.") from error
        if len(data) > self._limit:
            raise Problem(413, "task", f"The task's image has more than {self._limit} bytes.")
        return data

    def _headers(self) -> dict[str, str]:
        if self._token is None:
            return {}
        if self._token.count(".") != 2:  # no JSON web token
            return {"Authorization": f"Token {self._token}"}
        if self._access is None:
            asked = urllib.request.Request(
                urljoin(self._url, "api/token/refresh"),
                json.dumps({"refresh": self._token}).encode(),
                {"Content-Type": "application/json"},
            )
            self._access = str(json.loads(self._open(asked))["access"])
        return {"Authorization": f"Bearer {self._access}"}

    def _open(self, request: urllib.request.Request) -> bytes:
        with _opener.open(request, timeout=_SECONDS) as answer:
            return answer.read(self._limit + 1)


@lru_cache(maxsize=4)
def files_of(url: str, token: str | None, limit: int) -> LabelStudioFiles:
    """Return the files of a server, which keep their access token."""
    return LabelStudioFiles(url, token, limit)


def _unfetched(url: str, why: str) -> Problem:
    return Problem(422, "task", f"Cannot fetch the image from {url}: {why}")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirects())
