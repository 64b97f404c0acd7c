"""Sends alerts to a webhook, as an HTTPS POST of JSON. Nothing waits for it.

The body has the alert's fields and a `text` that chat services show as it is. The URL may hold a
secret: it is read from a file at each use, and never logged.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import requests

from tlsgate.events import emit, listening

SECONDS = 10
ATTEMPTS = 3
PAUSE = 5.0
WAITING = 100
"""Alerts that may wait; further ones are dropped, as they are in the log as well."""


class Webhook:
    """Sends in a thread of its own."""

    def __init__(
        self, url_file: Callable[[], Path | None], roots: Path, pause: float = PAUSE
    ) -> None:
        """`url_file`: where the URL is just now, None for nowhere. `roots`: a bundle that the
        receiver's HTTPS certificate may lead to.
        """
        self._url_file = url_file
        self._roots = roots
        self._pause = pause
        self._waiting: queue.Queue[Mapping[str, object]] = queue.Queue(WAITING)
        self._end = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Inside the block alerts are sent."""
        thread = threading.Thread(target=self._run, name="webhook", daemon=True)
        thread.start()
        try:
            with listening(self._take):
                yield
        finally:
            self._end.set()

    def _take(self, event: Mapping[str, object]) -> None:
        if event["event"] == "alert" and self._url_file() is not None:
            try:
                self._waiting.put_nowait(event)
            except queue.Full:
                _not_sent("too many alerts wait")

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                alert = self._waiting.get(timeout=1.0)
            except queue.Empty:
                continue
            self._send(alert)

    def _send(self, alert: Mapping[str, object]) -> None:
        text = f"tlsgate: {alert.get('what')}: {alert.get('reason')} {alert.get('next', '')}"
        reason = ""
        for _ in range(ATTEMPTS):
            reason = self._post({**alert, "text": text.strip()})
            if not reason or self._end.wait(self._pause):
                break
        if reason:
            _not_sent(reason)

    def _post(self, body: Mapping[str, object]) -> str:
        """Why it was not accepted; empty if it was. Contains no part of the URL."""
        try:
            file = self._url_file()
            url = file.read_text().strip() if file else ""
            if not url.startswith("https://"):
                return "the webhook's file contains no https URL"
            answer = requests.post(
                url, json=body, timeout=SECONDS, verify=str(self._roots), allow_redirects=False
            )
        except OSError as fault:  # the library's errors are among them; their text has the URL
            return f"it cannot be reached ({type(fault).__name__})"
        except ValueError:
            return "the webhook's file contains no URL"
        return "" if answer.ok else f"it answered with HTTP status {answer.status_code}"


def _not_sent(reason: str) -> None:
    next_step = "The alert is in this log, and is not sent again."
    emit("webhook", sent=False, reason=reason, next=next_step)
