"""Downloads that give up soon, are checked, and are not tried again and again where they fail.

A machine without the vendor's servers must not wait for them at every run: a server that did not
answer is not asked again for a day, or until the user says otherwise.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from toolchain.errors import SetupError, UnreachableError

OPEN_TIMEOUT: Final = 5.0
"""Seconds for the first byte, name look-up and proxy included."""
_READ_TIMEOUT: Final = 30.0
_CHUNK: Final = 1 << 20
KEPT: Final = 24 * 3600.0
"""Seconds for which a server that did not answer is not asked again."""


class Unreachable:
    """Which servers did not answer, and when: a small file in the tool cache."""

    def __init__(self, file: Path, now: Callable[[], float] = time.time) -> None:
        self._file = file
        self._now = now
        self._tried: set[str] = set()

    def _entries(self) -> dict[str, float]:
        try:
            read = json.loads(self._file.read_text())
            return {host: at for host, at in read.items() if 0 <= self._now() - at < KEPT}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}  # missing, or spoilt from outside

    def knows(self, host: str) -> bool:
        """Return whether this server failed in this run or within the last day."""
        return host in self._tried or host in self._entries()

    def add(self, host: str) -> None:
        """Note that this server did not answer now."""
        self._tried.add(host)
        entries = {**self._entries(), host: self._now()}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(entries))
        new.rename(self._file)

    def forget(self) -> None:
        """Ask every server again."""
        self._file.unlink(missing_ok=True)


class Fetcher:
    """Gets files over HTTPS, by the proxy and the roots that the environment names."""

    def __init__(self, unreachable: Unreachable, open_timeout: float = OPEN_TIMEOUT) -> None:
        self.unreachable = unreachable
        self._open_timeout = open_timeout

    def text(self, url: str) -> str:
        """Return a small text."""
        with self._open(url) as answer:
            return str(answer.read(1 << 20).decode())

    def probe(self, url: str) -> None:
        """Check that a file can be fetched; raise UnreachableError."""
        self._open(url).close()

    def file(self, url: str, target: Path) -> None:
        """Write a file of any size to `target`."""
        try:
            with self._open(url) as answer, target.open("wb") as output:
                expected = answer.length
                while chunk := answer.read(_CHUNK):
                    output.write(chunk)
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(f"{url} broke off: {error}") from error
        if expected is not None and target.stat().st_size != expected:
            raise UnreachableError(f"{url} broke off after {target.stat().st_size} bytes")

    def _open(self, url: str) -> http.client.HTTPResponse:
        host = urlsplit(url).hostname or ""
        if self.unreachable.knows(host):
            raise UnreachableError(f"{host} did not answer earlier")
        result: list[http.client.HTTPResponse | Exception] = []
        given_up = threading.Event()

        def connect() -> None:
            try:
                # The addresses are this project's own constants, all https.
                answer = urllib.request.urlopen(url, timeout=_READ_TIMEOUT)  # noqa: S310
                result.append(answer)
                if given_up.is_set():
                    answer.close()
            except urllib.error.HTTPError as error:
                error.close()
                result.append(error)
            except (OSError, http.client.HTTPException) as error:
                result.append(error)

        # In a thread, since no timeout covers the name look-up.
        thread = threading.Thread(target=connect, daemon=True)
        thread.start()
        thread.join(self._open_timeout)
        given_up.set()
        outcome = result[0] if result else TimeoutError(f"no answer in {self._open_timeout:.0f} s")
        if isinstance(outcome, urllib.error.HTTPError) and outcome.code < 500:
            raise UnreachableError(f"{url}: {outcome.code} {outcome.reason}") from outcome
        if isinstance(outcome, Exception):
            self.unreachable.add(host)
            reason = getattr(outcome, "reason", outcome)
            raise UnreachableError(f"{host}: {reason}") from outcome
        return outcome


def published_checksum(listing: str, name: str) -> str | None:
    """Return a file's checksum from lines `<hexadecimal digest>  <name>`."""
    for line in listing.splitlines():
        digest, _, file = line.strip().partition(" ")
        if digest and file.strip().lstrip("*") == name:
            return digest.lower()
    return None


def verify(path: Path, expected: str) -> None:
    """Compare a file with its SHA-256 or SHA-512 (told by the length); raise SetupError."""
    kind = {64: "sha256", 128: "sha512"}.get(len(expected))
    if kind is None:
        raise SetupError(
            f"the published checksum of {path.name} is neither SHA-256 nor SHA-512: {expected!r}",
            "run set-up again; if it stays, the server in between answers something else",
        )
    with path.open("rb") as file:
        found = hashlib.file_digest(file, kind).hexdigest()
    if found != expected:
        path.unlink()
        raise SetupError(
            f"{path.name} is not what was published: {kind} {found}, expected {expected}; deleted",
            "run set-up again; if it stays, do not use the file: ask who changed it on the way",
        )
