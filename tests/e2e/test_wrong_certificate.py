"""A certificate that does not match the code is shown as drift; the next `up` replaces it.

The policy host's certificate is replaced by one for another name from another CA. The policy host
refuses it and keeps the previous one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from lab.endpoints import gateway_container
from lab.rotation import status
from tests.e2e.conftest import World
from tests.e2e.deployment import Deployment, PulumiResult
from tests.e2e.test_new_domain import OLD, served

pytestmark = pytest.mark.e2e

WRONG = "wrong.example"
_SCRIPT = f"""
from datetime import UTC, datetime, timedelta
from pathlib import Path
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from tlsgate.acme.process import locked, Stop
from tlsgate.acme.certificate import Meta
from tlsgate.acme.gateway.generations import CertificateStore

with locked(Path("/acme/lock"), 60, Stop().pause, lambda: None):
    store, now = CertificateStore(Path("/keys/policy/policy-1")), datetime.now(UTC)
    key = store.current().key()
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("{WRONG}")]), critical=True)
        .sign(key, hashes.SHA256())
    )
    store.begin(key, now)
    pem = leaf.public_bytes(serialization.Encoding.PEM)
    store.make_current(store.complete(pem, Meta("https://other.example/dir", None)))
    store.confirm()
"""


@dataclass(frozen=True, slots=True)
class WrongCertificate:
    """Serials at port 443 before and with it, outputs of refresh and `up`, names afterwards."""

    before: str
    meanwhile: str
    refreshed: PulumiResult
    repaired: PulumiResult
    names: list[str]


@pytest.fixture(scope="module")
def observed(world: World) -> Iterator[WrongCertificate]:
    """The agent would replace it at its next check, so the agent is paused meanwhile."""
    agent = world.client.containers.get(gateway_container("agent"))
    before = served(OLD)
    done = agent.exec_run(["python3", "-c", _SCRIPT])
    assert done.exit_code == 0, done.output
    agent.pause()
    try:
        meanwhile = served(OLD)
        refreshed = Deployment().run("refresh", "--preview-only", "--diff")
        repaired = Deployment().run("up", "--refresh", "--yes", "--skip-preview")
    finally:
        agent.unpause()
    yield WrongCertificate(
        before, meanwhile, refreshed, repaired, status("policy-1")["served"]["names"]
    )


def test_refresh_shows_names_and_issuer(observed: WrongCertificate) -> None:
    assert observed.refreshed.code == 0, observed.refreshed.text
    assert WRONG in observed.refreshed.text
    assert "https://other.example/dir" in observed.refreshed.text


def test_the_policy_host_keeps_the_previous_one(observed: WrongCertificate) -> None:
    assert observed.meanwhile == observed.before


def test_the_next_up_orders_the_right_one(observed: WrongCertificate) -> None:
    assert observed.repaired.code == 0, observed.repaired.text
    assert sorted(observed.names) == ["mta-sts.brand.example", "mta-sts.corp.example"]
    assert served(OLD) != observed.before
