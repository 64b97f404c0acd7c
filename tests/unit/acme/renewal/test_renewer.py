"""One certificate: what is ordered, kept, refused and counted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from unittest.mock import Mock

import pytest
from msgspec.structs import replace

from tests.unit.acme.acme_parts import MX, STS, Parts, settings
from tests.unit.acme.acme_pki import CLIENT, NOW, Root
from tlsgate.acme.certificate import facts
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.gateway.generations import CertificateStore
from tlsgate.acme.keys import Key, new_key, to_pem
from tlsgate.acme.process import Stopped

DAY = timedelta(days=1)
Capture = pytest.CaptureFixture[str]


def events(capsys: Capture) -> list[str]:
    return [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]


def test_nothing_is_ordered_twice(tmp_path: Path, capsys: Capture) -> None:
    parts = Parts(tmp_path)
    for _ in range(3):
        assert parts.renewer().attempt(MX) is None
    assert parts.orders == [MX.names]
    assert events(capsys) == ["due", "switch", "certificate", "renewal-info"]


def test_tlsa_is_published_before_the_switch(tmp_path: Path) -> None:
    """And kept right at every look; what could not be published is not served."""
    parts = Parts(tmp_path, publish_fault=AcmeFault("DNS is down", "wait"))
    fault = parts.renewer().attempt(MX)
    assert fault is not None
    assert fault.reason == "DNS is down"
    assert parts.store().current() is None
    staged = parts.store().staged()
    assert staged is not None

    parts.publish_fault = None
    assert parts.renewer().attempt(MX) is None
    assert parts.served().id == staged.id
    assert parts.orders == [MX.names]
    assert parts.published == [(MX.tlsa, facts(staged.chain).spki_sha256)]
    assert parts.renewer().attempt(MX) is None
    assert parts.published == 2 * [(MX.tlsa, facts(staged.chain).spki_sha256)]


def test_dns_that_is_down_for_a_valid_certificate_is_no_failed_order(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    assert parts.renewer().attempt(MX) is None
    parts.publish_fault = AcmeFault("DNS is down", "wait")
    fault = parts.renewer().attempt(MX)
    assert fault is not None
    assert fault.reason == "DNS is down"
    assert parts.renewer().wait_until(MX) is None


def test_a_staged_certificate_that_is_wanted_no_more_is_dropped(tmp_path: Path) -> None:
    parts = Parts(tmp_path, publish_fault=AcmeFault("DNS is down", "wait"))
    assert parts.renewer().attempt(MX) is not None
    parts.publish_fault = None
    more = replace(MX, names=(*MX.names, "mx.brand.example"))
    assert parts.renewer(settings(more)).attempt(more) is None
    assert parts.orders == [MX.names, more.names]
    assert facts(parts.served().chain).names == tuple(sorted(more.names))


def test_renewal_keeps_the_key(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    assert parts.renewer().attempt(MX) is None
    first = parts.served()
    parts.now = NOW + 59 * DAY
    assert parts.renewer().attempt(MX) is None
    assert parts.served() == first
    parts.now = NOW + 60 * DAY
    assert parts.renewer().attempt(MX) is None
    second = parts.served()
    assert (first.path / "key.pem").read_bytes() == (second.path / "key.pem").read_bytes()
    assert facts(second.chain).not_before == parts.now
    assert len({spki for _, spki in parts.published}) == 1


@pytest.mark.parametrize("content", [b"no key", to_pem(new_key())])
def test_a_key_that_does_not_fit_is_replaced(tmp_path: Path, content: bytes) -> None:
    parts = Parts(tmp_path)
    assert parts.renewer().attempt(MX) is None
    (parts.served().path / "key.pem").write_bytes(content)
    assert "peers would reject it" in str(parts.renewer().reason(MX))
    assert parts.renewer().attempt(MX) is None
    assert parts.renewer().reason(MX) is None


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("root", "does not lead to a trusted root"),
        ("names", "its names are other.example"),
        ("key", "its key is not the key stored with it"),
        ("client", "it is not for TLS servers"),
        ("early", "it is valid from"),
        ("garbage", "it is not a chain of certificates"),
    ],
)
def test_what_the_ca_issues_is_checked_before_it_is_served(
    tmp_path: Path, kind: str, words: str
) -> None:
    parts = Parts(tmp_path)
    assert parts.renewer().attempt(MX) is None
    first = parts.served()
    more = replace(MX, names=("mx1.corp.example", "x.example"))

    def sign(names: Sequence[str], key: Key) -> bytes:
        return {
            "root": Root().sign(names, key),
            "names": parts.ca.sign(["other.example"], key),
            "key": parts.ca.sign(names, new_key()),
            "client": parts.ca.sign(names, key, usage=CLIENT),
            "early": parts.ca.sign(names, key, start=1),
            "garbage": b"<html>",
        }[kind]

    parts.sign = sign
    fault = parts.renewer(settings(more)).attempt(more)
    assert fault is not None
    assert words in fault.reason
    assert "cannot be served" in fault.reason
    assert parts.served() == first
    assert parts.store().staged() is None
    assert [path.name for path in (parts.store().path / "generations").iterdir()] == [first.id]


def test_failures_are_counted_and_cleared(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    retry_at = NOW + timedelta(hours=5)
    parts = Parts(tmp_path, fault=AcmeFault("too many", "wait", retry_at))
    assert parts.renewer().attempt(MX) is parts.fault
    assert parts.renewer().wait_until(MX) == retry_at
    fault = AcmeFault("still no", "wait")
    with monkeypatch.context() as patch:
        patch.setattr(CertificateStore, "begin", Mock(side_effect=fault))
        assert parts.renewer().attempt(MX) is fault
    # Its own word holds for as long as it said, whatever fails meanwhile.
    assert parts.renewer().wait_until(MX) == retry_at
    assert parts.renewer().wait_until(STS) is None
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    alerts = [
        {key: line[key] for key in ("what", "reason", "next")}
        for line in lines
        if line["event"] == "alert"
    ]
    assert alerts[1] == {
        "what": f"certificate {MX.name} could not be issued",
        "reason": "still no",
        "next": "attempt 2 failed; next at 2026-11-25T17:00:00+00:00",
    }
    parts.fault, parts.now = None, retry_at
    assert parts.renewer().attempt(MX) is None
    assert parts.renewer().wait_until(MX) is None


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device", "/acme/x"), "/acme/x: No space left on device"),
        (RuntimeError("a bug"), "unexpected: RuntimeError('a bug')"),
    ],
)
def test_whatever_fails_is_counted(tmp_path: Path, error: Exception, words: str) -> None:
    parts = Parts(tmp_path, fault=error)
    fault = parts.renewer().attempt(MX)
    assert fault is not None
    assert words in fault.reason
    assert parts.renewer().wait_until(MX) == NOW + timedelta(minutes=1)


def test_stopping_is_no_failure_and_leaves_the_key_alone(tmp_path: Path) -> None:
    parts = Parts(tmp_path, fault=Stopped())
    with pytest.raises(Stopped):
        parts.renewer().attempt(MX)
    assert parts.renewer().wait_until(MX) is None
    assert parts.store().staged() is None
    # The CA may have taken the order: whoever comes next goes on with the same key.
    left = parts.store().unfinished_key()
    assert left is not None
    parts.fault = None
    assert parts.renewer().attempt(MX) is None
    assert parts.served().key().public_key() == left.public_key()
