"""Alerts to a webhook: over HTTPS alone, bounded, and never in the way."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.loopback import serves_on_loopback
from tests.unit.acme.acme_pki import Root
from tlsgate.acme.agent.webhook import ATTEMPTS, WAITING, Webhook
from tlsgate.acme.keys import new_key, to_pem
from tlsgate.events import emit

pytestmark = serves_on_loopback

Capture = pytest.CaptureFixture[str]


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps what it gets, and answers as the test says."""

    status = 204

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append(json.loads(body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    ca, key = Root(), new_key()
    (tmp_path / "ca.pem").write_bytes(ca.pem)
    chain = ca.sign(["127.0.0.1"], key, start=-1, now=datetime.now(UTC))
    (tmp_path / "server.pem").write_bytes(to_pem(key) + chain)
    made = Receiver()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    made.socket = context.wrap_socket(made.socket, server_side=True)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield made
    finally:
        made.shutdown()
        made.server_close()
        thread.join()


def url_file(tmp_path: Path, receiver: Receiver | None, scheme: str = "https") -> Path:
    port = receiver.server_address[1] if receiver else 1
    file = tmp_path / "webhook"
    file.write_text(f"{scheme}://127.0.0.1:{port}/secret-part\n")
    return file


def until(look: Any) -> None:
    deadline = time.monotonic() + 10
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def forwarded(capsys: Capture) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line for line in lines if line["event"] == "webhook"]


def test_an_alert_arrives_and_nothing_else(tmp_path: Path, receiver: Receiver) -> None:
    file = url_file(tmp_path, receiver)
    with Webhook(lambda: file, tmp_path / "ca.pem").running():
        emit("certificate", certificate="a")
        emit("alert", what="it broke", reason="because", next="soon")
        until(lambda: receiver.got)
    (got,) = receiver.got
    assert got["text"] == "tlsgate: it broke: because soon"
    assert {got[key] for key in ("what", "reason", "next")} == {"it broke", "because", "soon"}


def test_without_a_file_nothing_is_sent(tmp_path: Path, receiver: Receiver) -> None:
    with Webhook(lambda: None, tmp_path / "ca.pem").running():
        emit("alert", what="it broke", reason="because", next="soon")
    assert receiver.got == []


def test_a_receiver_that_fails_is_tried_again_a_few_times(
    tmp_path: Path, receiver: Receiver, capsys: Capture
) -> None:
    file, receiver.status = url_file(tmp_path, receiver), 500
    with Webhook(lambda: file, tmp_path / "ca.pem", pause=0).running():
        emit("alert", what="it broke", reason="because", next="soon")
        found: list[dict[str, Any]] = []

        def said() -> bool:
            found.extend(forwarded(capsys))
            return bool(found)

        until(said)
    assert found[0]["reason"] == "it answered with HTTP status 500"
    assert len(receiver.got) == ATTEMPTS


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("http://127.0.0.1:1/secret-part", "contains no https URL"),
        ("https://127.0.0.1:1/secret-part", "it cannot be reached (ConnectionError)"),
        ("https://[::1/secret-part", "it cannot be reached (InvalidURL)"),
        (None, "it cannot be reached (FileNotFoundError)"),
    ],
)
def test_what_cannot_be_sent_is_said_without_the_url(
    tmp_path: Path, capsys: Capture, content: str | None, words: str
) -> None:
    file = tmp_path / "webhook"
    (tmp_path / "ca.pem").write_bytes(Root().pem)
    if content is not None:
        file.write_text(content)
    found: list[dict[str, Any]] = []

    def said() -> bool:
        found.extend(forwarded(capsys))
        return bool(found)

    with Webhook(lambda: file, tmp_path / "ca.pem", pause=0).running():
        emit("alert", what="it broke", reason="because", next="soon")
        until(said)
    assert words in found[0]["reason"]
    assert "secret-part" not in str(found)


def test_an_untrusted_receiver_gets_nothing(
    tmp_path: Path, receiver: Receiver, capsys: Capture
) -> None:
    file = url_file(tmp_path, receiver)
    (tmp_path / "other.pem").write_bytes(Root().pem)
    found: list[dict[str, Any]] = []

    def said() -> bool:
        found.extend(forwarded(capsys))
        return bool(found)

    with Webhook(lambda: file, tmp_path / "other.pem", pause=0).running():
        emit("alert", what="it broke", reason="because", next="soon")
        until(said)
    assert found[0]["reason"] == "it cannot be reached (SSLError)"
    assert receiver.got == []


def test_too_many_alerts_are_dropped_not_waited_for(tmp_path: Path, capsys: Capture) -> None:
    webhook = Webhook(lambda: tmp_path / "none", tmp_path / "ca.pem")
    for _ in range(WAITING + 5):
        webhook._take({"event": "alert", "what": "it broke"})
    assert [line["reason"] for line in forwarded(capsys)] == 5 * ["too many alerts wait"]
