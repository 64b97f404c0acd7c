"""What a reader is told when the CA, or the way to it, fails: the transport is stubbed."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from acme import messages

from tests.unit.acme.acme_pki import NOW
from tlsgate.acme.ca.client import NONCE_ATTEMPTS, AcmeServer
from tlsgate.acme.ca.problem_documents import describe, retry_time
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.keys import new_key

URL = "https://ca.example/dir"
DIRECTORY = {name: f"https://ca.example/{name}" for name in ("newNonce", "newAccount", "newOrder")}
PREFIX = "urn:ietf:params:acme:error:"


def response(status: int, body: Any, **headers: str) -> requests.Response:
    made = requests.Response()
    made.status_code = status
    made._content = body if isinstance(body, bytes) else json.dumps(body).encode()
    problem = status >= 400 and not isinstance(body, bytes)
    made.headers["Content-Type"] = "application/problem+json" if problem else "application/json"
    made.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return made


class Stub:
    """Answers requests from a list: a response, or what is raised."""

    def __init__(self, *answers: requests.Response | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str]] = []
        self.options: dict[str, Any] = {}

    def __call__(self, method: str, url: str, **options: Any) -> requests.Response:
        self.asked.append((method, url))
        self.options = options
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    made = Stub()

    def request(_session: requests.Session, method: str, url: str, **options: Any) -> Any:
        return made(method, url, **options)

    monkeypatch.setattr(requests.Session, "request", request)
    yield made
    assert made.answers == []


def connect() -> AcmeServer:
    return AcmeServer(URL, new_key(), Path("/roots.pem"))


def nonce(number: int = 1) -> requests.Response:
    return response(200, b"", Replay_Nonce=f"bm9uY2U{number}")


def problem(kind: str, detail: str, **more: object) -> dict[str, object]:
    return {"type": f"{PREFIX}{kind}", "detail": detail, **more}


@pytest.mark.parametrize(
    ("answer", "reason", "remedy"),
    [
        (
            response(503, problem("serverInternal", "down for maintenance"), Retry_After="3600"),
            "reading the CA's directory: the CA refused with HTTP status 503: down for maintenance"
            f" ({PREFIX}serverInternal)\n  The CA allows no request before ",
            "Nothing to do: the CA has an internal error",
        ),
        (response(502, b"<html>"), "answered with HTTP status 502 and no problem", "directory is"),
        (response(200, b"<html>"), "did not answer as an ACME server (RFC 8555)", "is the URL of"),
        (response(200, []), "it is not an ACME directory", "Correct tlsgate:acme.directory"),
        (response(200, {"newNonce": "x"}), "it is not an ACME directory", "Correct tlsgate:acme"),
        (
            requests.ConnectionError(OSError(111, "Connection refused")),
            f"the CA at {URL} cannot be reached: ",
            "Check that the CA runs",
        ),
        (requests.ConnectTimeout(), f"{URL} cannot be reached: it does not answer", "Check that"),
    ],
)
def test_directory(
    stub: Stub, answer: requests.Response | Exception, reason: str, remedy: str
) -> None:
    stub.answers = [answer]
    with pytest.raises(AcmeFault) as caught:
        connect()
    assert reason in caught.value.reason
    assert remedy in caught.value.remedy


def test_causes_come_from_below_the_wrappings(stub: Stub) -> None:
    refused = requests.ConnectionError("HTTPSConnectionPool(...)")
    refused.__cause__ = socket.gaierror(-2, "Name or service not known")
    stub.answers = [refused]
    with pytest.raises(AcmeFault, match="cannot be reached: Name or service not known"):
        connect()
    untrusted = requests.exceptions.SSLError("HTTPSConnectionPool(...)")
    inner = ssl.SSLCertVerificationError(1, "certificate verify failed: (_ssl.c:1)")
    inner.verify_message = "certificate has expired"
    untrusted.__context__ = inner
    stub.answers = [untrusted]
    with pytest.raises(AcmeFault, match="is not trusted: certificate has expired") as caught:
        connect()
    assert "tlsgate:acme.caFile" in caught.value.remedy


def test_rate_limit(stub: Stub) -> None:
    """The CA's word on when to come back is kept."""
    limited = problem("rateLimited", "too many certificates for corp.example")
    stub.answers = [response(200, DIRECTORY), nonce(), response(429, limited, Retry_After="7200")]
    server = connect()
    with pytest.raises(AcmeFault) as caught, server.explaining_errors("ordering"):
        server.network.post(DIRECTORY["newOrder"], None, new_nonce_url=DIRECTORY["newNonce"])
    assert "ordering: the CA refused with HTTP status 429: too many cert" in caught.value.reason
    assert "The CA allows no request before 20" in caught.value.reason
    assert "Wait; the agent tries again automatically" in caught.value.remedy
    assert caught.value.retry_at is not None
    left = caught.value.retry_at - datetime.now(UTC)
    assert timedelta(hours=1) < left <= timedelta(hours=2)


@pytest.mark.parametrize(("refused", "ends_well"), [(4, True), (NONCE_ATTEMPTS, False)])
def test_nonces_are_refused_more_than_once(stub: Stub, refused: int, ends_well: bool) -> None:
    bad = [
        entry
        for number in range(refused)
        for entry in (nonce(number), response(400, problem("badNonce", "stale")))
    ]
    well = [nonce(9), response(200, {}, Replay_Nonce="bGFzdA")] if ends_well else []
    stub.answers = [response(200, DIRECTORY), *bad, *well]
    server = connect()
    if ends_well:
        server.network.post(DIRECTORY["newOrder"], None, new_nonce_url=DIRECTORY["newNonce"])
    else:
        with pytest.raises(AcmeFault, match="stale"), server.explaining_errors("ordering"):
            server.network.post(DIRECTORY["newOrder"], None, new_nonce_url=DIRECTORY["newNonce"])


def test_requests_are_bounded_and_trust_the_given_roots(stub: Stub) -> None:
    stub.answers = [response(200, DIRECTORY)]
    connect()
    assert stub.asked == [("GET", URL)]
    assert stub.options["verify"] == "/roots.pem"
    assert stub.options["timeout"] == (10, 30)
    assert stub.options["headers"]["User-Agent"].startswith("tlsgate acme/")


def test_subproblems_stand_on_lines_of_their_own() -> None:
    document = problem(
        "compound",
        "two names are refused",
        subproblems=[
            problem("rejectedIdentifier", "no", identifier={"type": "dns", "value": "a.example"}),
            problem("caa", "CAA says no", identifier={"type": "dns", "value": "b.example"}),
        ],
    )
    assert describe(messages.Error.from_json(document)).splitlines() == [
        f"two names are refused ({PREFIX}compound)",
        f"  a.example: no ({PREFIX}rejectedIdentifier)",
        f"  b.example: CAA says no ({PREFIX}caa)",
    ]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("120", NOW + timedelta(minutes=2)),
        (" 0 ", NOW),
        ("Wed, 25 Nov 2026 13:00:00 GMT", NOW + timedelta(hours=1)),
        ("Wed, 25 Nov 2026 13:00:00 -0000", NOW + timedelta(hours=1)),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("9" * 30, None),
        ("\u0663", None),
    ],
)
def test_retry_time(header: str | None, expected: datetime | None) -> None:
    assert retry_time(header, NOW) == expected
