"""A CA or a DNS server is down, refuses or fails: clear messages, and nothing is left incomplete.

The next run continues.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from tests.integration.acme.acme_agent import (
    MX,
    answers,
    configure,
    delete_tlsa,
    events,
    mx,
    paths,
    policy,
    run,
    served,
    tlsa_is_right,
)
from tests.integration.acme.acme_world import BLOCKED, EAB_KEY, EAB_KEY_ID, Volumes, World
from tests.unit.acme.acme_pki import Root
from tlsgate.acme.agent.assembly import agent_zone
from tlsgate.acme.ca.account import account_key
from tlsgate.acme.certificate import facts
from tlsgate.acme.challenges.dns01 import Dns01
from tlsgate.acme.challenges.responses import ChallengeResponse, ChallengeResponses
from tlsgate.acme.config.agent_json import DnsUpdates, load
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.keys import new_key
from tlsgate.acme.orders.authorities import CaContext, CertificateAuthority
from tlsgate.acme.orders.request import Request
from tlsgate.acme.process import Stop

pytestmark = pytest.mark.integration
Capture = pytest.CaptureFixture[str]
STS = ("mta-sts.corp.example", "mta-sts.brand.example")


def assert_nothing_incomplete(world: World, volumes: Volumes, volume: str = "mx") -> None:
    """Only the key exists, which the next attempt uses, and no answer to a challenge."""
    found = [path.name for path in (volumes.keys / volume).rglob("*") if not path.is_dir()]
    assert found in ([], ["key.pem"])
    assert [path for path in volumes.challenge.rglob("*") if path.is_file()] == []
    for name in (MX, *STS):
        assert answers(world, f"_acme-challenge.{name}", "TXT") == set()


def refusal(volumes: Volumes, capsys: Capture, *command: str) -> str:
    """The message of a run that fails."""
    assert run(volumes, *(command or ("issue",))) == 1
    return capsys.readouterr().err


def test_a_refused_name_does_not_stop_other_certificates(world: World, capsys: Capture) -> None:
    volumes = world.volumes("refused")
    configure(world, volumes, [policy(1, STS[0], BLOCKED), mx()])
    words = refusal(volumes, capsys)
    assert "certificate policy-1 (policy): ordering a certificate for" in words
    assert "with HTTP status 400" in words
    assert f"{BLOCKED} is a forbidden domain (urn:ietf:params:acme:error:rejectedId" in words
    assert "What to do: The CA's policy refuses this name" in words
    assert MX not in words
    assert facts(served(volumes).chain).names == (MX,)
    assert_nothing_incomplete(world, volumes, "policy")

    path = configure(world, volumes, [policy(1, *STS), mx()])
    before = json.loads(paths(volumes).failures.read_text())["data"]
    assert [(name, entry["count"]) for name, entry in before.items()] == [("policy/policy-1", 1)]
    assert len(load(path).certificates) == 2
    assert run(volumes, "issue") == 0
    assert json.loads(paths(volumes).failures.read_text())["data"] == {}


def test_down_then_up_with_all_data_lost(
    world: World, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CA comes back without the account, and with another root."""
    monkeypatch.setattr("tlsgate.acme.ca.client.CONNECT_SECONDS", 1)
    volumes = world.volumes("down")
    configure(world, volumes, [mx()])
    assert run(volumes, "issue") == 0
    first = served(volumes)
    configure(world, volumes, [mx(), policy(1, *STS)])

    world.ca.stop(timeout=1)
    try:
        words = refusal(volumes, capsys)
    finally:
        world.restart_ca()
    assert f"the CA at {world.directory} cannot be reached" in words
    assert "What to do: Check that the CA runs" in words
    assert served(volumes) == first
    assert_nothing_incomplete(world, volumes, "policy")

    (volumes.config / "extra-ca.pem").write_text(world.roots())
    assert run(volumes, "issue") == 0
    reasons = [event["reason"] for event in events(capsys) if event["event"] == "due"]
    assert "peers would reject it" in reasons[0]
    assert facts(served(volumes).chain).spki_sha256 == facts(first.chain).spki_sha256
    assert facts(served(volumes, "policy", "policy-1").chain).names == tuple(sorted(STS))


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (":14001/dir", "cannot be reached: Connection refused"),
        (":14000/nosuch", "HTTP status 404"),
        (":15000/roots/0", "did not answer as an ACME server"),
    ],
)
def test_wrong_directory(world: World, capsys: Capture, path: str, words: str) -> None:
    volumes = world.volumes(f"wrong{path.replace('/', '_')}")
    configure(world, volumes, [mx()], directory=f"https://{world.ca_address}{path}")
    assert words in refusal(volumes, capsys)
    assert_nothing_incomplete(world, volumes)


def test_untrusted_directory(world: World, capsys: Capture) -> None:
    volumes = world.volumes("untrusted")
    configure(world, volumes, [mx()], ca_file=None)
    words = refusal(volumes, capsys)
    assert f"the HTTPS certificate of {world.directory} is not trusted" in words
    assert "tlsgate:acme.caFile" in words


def test_untrusted_chain(world: World, capsys: Capture) -> None:
    volumes = world.volumes("chain")
    configure(world, volumes, [mx()])
    (volumes.config / "extra-ca.pem").write_bytes(Root("another CA").pem)
    delete_tlsa(world)
    words = refusal(volumes, capsys)
    assert "that cannot be served: its chain, up to the issuer CN=Pebble Root CA" in words
    assert "tlsgate:extraCaFile" in words
    assert_nothing_incomplete(world, volumes)
    assert answers(world, f"_25._tcp.{MX}", "TLSA") == set()


def test_external_account(world: World, capsys: Capture) -> None:
    volumes = world.volumes("eab")
    directory, key_file = world.start_ca_with_eab(), volumes.config / "eab.key"
    (volumes.config / "extra-ca.pem").write_text(world.roots(world.eab_address))

    configure(world, volumes, [mx()], directory=directory)
    assert "the CA demands an external account binding" in refusal(volumes, capsys)

    eab = {"key_id": "kid-unknown", "hmac_key_file": str(key_file)}
    configure(world, volumes, [mx()], directory=directory, eab=eab)
    words = refusal(volumes, capsys)
    assert "registering the account: the CA refused with HTTP status 4" in words
    assert "Correct tlsgate:acme.eab: key id and MAC key" in words

    configure(world, volumes, [mx()], directory=directory, eab={**eab, "key_id": EAB_KEY_ID})
    for secret, expected in (("d3Jvbmc", "Correct tlsgate:acme.eab"), ("%%%", "is not base64url")):
        key_file.write_text(secret)
        words = refusal(volumes, capsys)
        assert expected in words
        assert secret not in words
    assert_nothing_incomplete(world, volumes)

    key_file.write_text(EAB_KEY)
    assert run(volumes, "issue") == 0
    assert EAB_KEY not in capsys.readouterr().out


def test_http_01_that_the_ca_cannot_reach(world: World, capsys: Capture) -> None:
    volumes = world.volumes("http")
    challenge = {"type": "http-01", "directory": str(volumes.challenge)}
    configure(world, volumes, [policy(1, *STS)], challenge=challenge, tlsa=None)
    words = refusal(volumes, capsys)
    for name in STS:
        assert f"the http-01 challenge for {name} failed: " in words
        assert f"The CA asks http://{name}/.well-known/acme-challenge/" in words
    assert "What to do: Check that the CA can reach this name on this port" in words
    assert_nothing_incomplete(world, volumes, "policy")


class Misplaced(Dns01):
    """Publishes a value that the CA does not expect."""

    def place(self, proof: ChallengeResponse) -> None:
        super().place(ChallengeResponse(proof.name, proof.token, "wrong"))

    def wait(self, proof: ChallengeResponse) -> None:
        return

    def remove(self, proof: ChallengeResponse) -> None:
        super().remove(ChallengeResponse(proof.name, proof.token, "wrong"))


def test_dns_01_reports_the_expected_and_the_actual_value(world: World) -> None:
    volumes = world.volumes("misplaced")
    config = load(configure(world, volumes, [mx()]))
    assert isinstance(config.challenge, DnsUpdates)
    used = paths(volumes)
    proofs = ChallengeResponses(Misplaced(agent_zone(config.challenge), 5), used.proofs)
    with pytest.raises(AcmeFault) as caught:
        CertificateAuthority(
            config,
            used.account(config.directory),
            CaContext(proofs, config.limits, Stop().pause, lambda: datetime.now(UTC)),
        ).obtain(Request((MX,), new_key(), None))
    assert f"the dns-01 challenge for {MX} failed: " in caught.value.reason
    assert f"The CA looks for TXT _acme-challenge.{MX} " in caught.value.reason
    wrong = ChallengeResponse(MX, "", "wrong").text
    assert f"; the authoritative server has {wrong}" in caught.value.reason
    assert_nothing_incomplete(world, volumes)
    assert account_key(used.account(config.directory)).curve.name == "secp256r1"


def test_dns_down_for_tlsa_keeps_what_was_issued(world: World, capsys: Capture) -> None:
    """The key is not served before its TLSA record exists; there is no second order for it."""
    volumes = world.volumes("tlsa-down")
    path = configure(world, volumes, [mx()])
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "tlsa": {**values["tlsa"], "port": 5353}}))
    words = refusal(volumes, capsys)
    assert f"publishing TLSA _25._tcp.{MX}: {world.dns_address}:5353" in words
    assert list(volumes.keys.rglob("current")) == []

    path.write_text(json.dumps(values))
    assert run(volumes, "issue") == 0
    kinds = [event["event"] for event in events(capsys)]
    assert kinds == ["due", "tlsa", "switch", "certificate"]
    assert tlsa_is_right(world, volumes)


def test_wrong_tsig_key(world: World, capsys: Capture) -> None:
    volumes = world.volumes("tsig")
    configure(world, volumes, [mx()])
    tsig = volumes.config / "agent.tsig"
    tsig.write_text('key "agent" { algorithm hmac-sha256; secret "d3Jvbmc="; };')
    words = refusal(volumes, capsys)
    assert f"publishing TXT _acme-challenge.{MX}: " in words
    assert "BADSIG" in words
    assert "d3Jvbmc=" not in words


def test_withdraw(world: World, capsys: Capture) -> None:
    volumes = world.volumes("withdraw")
    configure(world, volumes, [mx()])
    assert run(volumes, "issue") == 0
    before = served(volumes)
    assert tlsa_is_right(world, volumes)
    assert run(volumes, "withdraw") == 0
    assert answers(world, f"_25._tcp.{MX}", "TLSA") == set()
    assert served(volumes) == before
    assert run(volumes, "withdraw") == 0
