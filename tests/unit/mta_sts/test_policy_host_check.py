"""The policy's id is published only after this check: what it takes for served, and what not."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.fake_clock import FakeClock
from tests.support.loopback import serves_on_loopback
from tests.unit.acme.acme_pki import Root
from tests.unit.mta_sts.web_host import POLICY, Answer, WebHost
from tlsgate.mta_sts import host_check as policy_host_check
from tlsgate.mta_sts.host_check import fetch, main, trust, until_served

pytestmark = serves_on_loopback

DOMAIN = "corp.example"
NOW = -1.0
"""A time-out that is over: one look, no waiting."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebHost]:
    host = WebHost(tmp_path_factory.mktemp("host"))
    yield host
    host.close()


@pytest.fixture
def host(running: WebHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WebHost:
    """The host as it should be; `tmp_path` holds what the job gets under /incoming."""
    monkeypatch.setattr(policy_host_check, "PORT", running.port)
    running.answer = Answer()
    running.asked.clear()
    running.use(running.root, ["mta-sts.corp.example", "mta-sts.brand.example"])
    (tmp_path / "extra-ca.pem").write_bytes(running.root.pem)
    return running


def faults(folder: Path, *domains: str, timeout: float = NOW) -> list[str]:
    context = trust(folder / "extra-ca.pem")
    return until_served(
        domains or (DOMAIN,), POLICY, lambda name: fetch("127.0.0.1", name, context), timeout
    )


@pytest.mark.parametrize(
    "answer",
    [
        Answer(),
        Answer(kind="text/plain; charset=utf-8"),
        Answer(kind="TEXT/PLAIN ;charset=us-ascii"),
    ],
)
def test_the_wanted_policy_is_served(host: WebHost, tmp_path: Path, answer: Answer) -> None:
    host.answer = answer
    assert faults(tmp_path, DOMAIN, "brand.example") == []
    assert sorted(host.asked) == [
        ("mta-sts.brand.example", "/.well-known/mta-sts.txt"),
        ("mta-sts.corp.example", "/.well-known/mta-sts.txt"),
    ]


ANSWERS = {
    "another policy": (Answer(body=POLICY.replace(b"enforce", b"testing")), "another policy"),
    "line ends of Unix": (Answer(body=POLICY.replace(b"\r\n", b"\n")), "another policy"),
    "more after the policy": (Answer(body=POLICY + b"\r\n" * 40_000), "another policy"),
    "empty": (Answer(body=b""), "another policy"),
    "not found": (Answer(status=404), "status 404, media type 'text/plain'"),
    "an error": (Answer(status=503, kind="text/html"), "status 503, media type 'text/html'"),
    "no content": (Answer(status=204, body=b""), "status 204, media type 'text/plain'"),
    "a redirect": (
        Answer(status=301, location="https://mta-sts.corp.example/policy.txt"),
        "status 301, media type 'text/plain'",
    ),
    "a page": (Answer(kind="text/html"), "status 200, media type 'text/html'"),
    "no media type": (Answer(kind=None), "status 200, media type ''"),
    "cut off": (Answer(body=POLICY[:-9], length=len(POLICY)), "another policy"),
}


@pytest.mark.parametrize(("answer", "told"), ANSWERS.values(), ids=ANSWERS)
def test_another_answer_is_a_fault(
    host: WebHost, tmp_path: Path, answer: Answer, told: str
) -> None:
    host.answer = answer
    if told == "another policy":
        told = "another policy is served"
    else:
        told = f"the policy cannot be fetched: {told}"
    assert faults(tmp_path) == [f"mta-sts.corp.example: {told}"]
    assert len(host.asked) == 1  # a redirect is not followed


CERTIFICATES: dict[str, tuple[Callable[[WebHost], None], str]] = {
    "for another name": (
        lambda host: host.use(host.root, ["mta-sts.other.example", "corp.example"]),
        "Hostname mismatch, certificate is not valid for 'mta-sts.corp.example'.",
    ),
    "expired": (
        lambda host: host.use(host.root, ["mta-sts.corp.example"], start=-2, end=-1),
        "certificate has expired",
    ),
    "not yet valid": (
        lambda host: host.use(host.root, ["mta-sts.corp.example"], start=1, end=2),
        "certificate is not yet valid"
        + (" or the system clock is incorrect" if ssl.OPENSSL_VERSION_INFO >= (3, 6) else ""),
    ),
    "of an unknown CA": (
        lambda host: host.use(Root("a stranger"), ["mta-sts.corp.example"]),
        "unable to get local issuer certificate",
    ),
}


@pytest.mark.parametrize(("use", "told"), CERTIFICATES.values(), ids=CERTIFICATES)
def test_a_wrong_certificate_is_a_fault(
    host: WebHost, tmp_path: Path, use: Callable[[WebHost], None], told: str
) -> None:
    use(host)
    line = f"mta-sts.corp.example: the certificate is not accepted: {told}"
    assert faults(tmp_path) == [line]
    assert host.asked == []


def test_without_the_extra_roots_only_public_ones_count(host: WebHost, tmp_path: Path) -> None:
    (tmp_path / "extra-ca.pem").unlink()
    (told,) = faults(tmp_path)
    assert told.startswith("mta-sts.corp.example: the certificate is not accepted: ")


def test_a_host_that_is_down_is_a_fault(
    host: WebHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, but nobody listens
        monkeypatch.setattr(policy_host_check, "PORT", held.getsockname()[1])
        told = "the policy cannot be fetched: [Errno 111] Connection refused"
        assert faults(tmp_path) == [f"mta-sts.corp.example: {told}"]


def use_clock(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    """Time passes for the check only while it sleeps."""
    fake = SimpleNamespace(sleep=clock.sleep, monotonic=clock)
    monkeypatch.setattr(policy_host_check, "time", fake)


def test_it_waits_until_the_host_has_taken_the_certificate_up(
    host: WebHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.use(host.root, ["mta-sts.brand.example"])
    clock = FakeClock(1000, actions={1005: lambda: host.use(host.root, ["mta-sts.corp.example"])})
    use_clock(monkeypatch, clock)
    assert faults(tmp_path, DOMAIN, "brand.example", timeout=60) == []
    assert clock.now == 1005
    # A domain that is well once is not asked again.
    assert [name for name, _ in host.asked] == ["mta-sts.brand.example", "mta-sts.corp.example"]


def test_after_its_time_it_tells_what_is_wrong_now(
    host: WebHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.answer = Answer(status=404)

    def other() -> None:
        host.answer = Answer(body=b"other")

    clock = FakeClock(1000, actions={1002: other})
    use_clock(monkeypatch, clock)
    assert faults(tmp_path, timeout=3) == ["mta-sts.corp.example: another policy is served"]
    assert clock.now == 1004


def test_ten_thousand_domains_are_asked_many_at_once() -> None:
    domains = [f"d{number}.example" for number in range(10_000)]
    asked: list[str] = []

    def served(name: str) -> bytes:
        asked.append(name)
        return POLICY if name != "mta-sts.d77.example" else b""

    told = until_served(domains, POLICY, served, NOW)
    assert told == ["mta-sts.d77.example: another policy is served"]
    assert sorted(asked) == sorted(f"mta-sts.{domain}" for domain in domains)


def job(folder: Path, *domains: str) -> int:
    """Run the command as the job does; the exit code."""
    wanted = {"id": "0123abcd", "policy": POLICY.decode(), "domains": list(domains)}
    (folder / "policy.json").write_text(json.dumps(wanted))
    return main(["--address", "127.0.0.1", "--from", str(folder), "--timeout", "-1"])


def test_the_job_ends_with_its_result(
    host: WebHost, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert job(tmp_path, DOMAIN, "brand.example") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out.splitlines()[-1]) == {"id": "0123abcd", "domains": 2}
    assert printed.err == ""


def test_the_job_fails_with_every_domain_that_is_not_well(
    host: WebHost, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host.answer = Answer(status=404)
    assert job(tmp_path, DOMAIN, "other.example") == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "mta-sts.corp.example: the policy cannot be fetched: status 404, media type 'text/plain'",
        "mta-sts.other.example: the certificate is not accepted: Hostname mismatch, certificate is "
        "not valid for 'mta-sts.other.example'.",
        "The policy's id is not published. Fix this and run `up` again.",
    ]
