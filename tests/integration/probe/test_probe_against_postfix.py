"""The probe and `tlsgate check` compared with Postfix itself, on every peer of the lab.

The probe is compared with posttls-finger, Postfix's own verifier, and the check with what the
gateway then does with a real message.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
import pytest

from lab import files, plan
from lab.cases import OutboundCase, outbound_cases
from lab.driver import Lab
from lab.trial import CaseResult, run_outbound
from tests.integration.probe import posttls_finger
from tests.integration.probe.posttls_finger import Finger
from tlsgate.dns.nameservers import Resolver
from tlsgate.partners.load import load_partners
from tlsgate.partners.model import Partner, Verify
from tlsgate.probe.check import CheckSettings, predict_all
from tlsgate.probe.prediction import Prediction
from tlsgate.probe.probe import ProbeSettings, probe_domains
from tlsgate.probe.result import ProbeResult
from tlsgate.render.partner_maps import compile_partners
from tlsgate.smtp.dialogue import Fault

pytestmark = pytest.mark.e2e

DOMAINS = tuple(domain for peer in plan.PEERS for domain in peer.domains)
WITH_TLSA = tuple(
    domain for peer in plan.PEERS if peer.tlsa is not plan.Tlsa.NONE for domain in peer.domains
)
RESOLVER = Resolver((plan.RESOLVER_ADDRESS,))
AT_ONCE = 4

Fingers = Mapping[str, Finger]
Probed = Mapping[str, ProbeResult]


def _roots() -> str:
    return (files.PKI / "public-roots.pem").read_text()


def _listed() -> tuple[Partner, ...]:
    return load_partners(Path(files.LAB, "partners"))


@pytest.fixture(scope="module")
def probed(client: docker.DockerClient) -> Probed:
    """The probe's results without the partner list."""
    settings = ProbeSettings(RESOLVER, extra_ca=_roots())
    return {result.domain: result for result in probe_domains(DOMAINS, settings)}


@pytest.fixture(scope="module")
def fingers(client: docker.DockerClient) -> Fingers:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda domain: posttls_finger.secure(client, domain), DOMAINS)
        return dict(zip(DOMAINS, found, strict=True))


@pytest.fixture(scope="module")
def dane_fingers(client: docker.DockerClient) -> Fingers:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda domain: posttls_finger.dane(client, domain), DOMAINS)
        return dict(zip(DOMAINS, found, strict=True))


def word(result: ProbeResult) -> str:
    """The probe's result for `secure` as a word of posttls-finger."""
    (server,) = result.servers
    match server.contact.strict.fault:
        case None if Verify.PKIX in result.ready:
            return "Verified"
        case None:
            return "Trusted"
        case Fault.UNTRUSTED:
            return "Untrusted"
        case _:
            return ""


@pytest.mark.parametrize("domain", DOMAINS)
def test_at_level_secure(domain: str, probed: Probed, fingers: Fingers) -> None:
    result, finger = probed[domain], fingers[domain]
    assert word(result) == finger.word
    if finger.word:
        (server,) = result.servers
        assert server.contact.shown.version == finger.version
        assert result.public_keys == (finger.key,)
        assert Verify.PIN in result.ready
    else:
        assert Verify.PIN not in result.ready


@pytest.mark.parametrize("domain", DOMAINS)
def test_at_level_dane(domain: str, probed: Probed, dane_fingers: Fingers) -> None:
    finger = dane_fingers[domain]
    assert finger.has_tlsa is (domain in WITH_TLSA)
    matches = finger.has_tlsa and finger.word == "Verified"
    assert (Verify.DANE in probed[domain].ready) is matches


def test_every_word_occurred(fingers: Fingers, dane_fingers: Fingers) -> None:
    """Without this the two tests above could pass by agreeing on nothing."""
    assert {finger.word for finger in fingers.values()} == {"Verified", "Trusted", "Untrusted", ""}
    of_dane = {dane_fingers[domain].word for domain in WITH_TLSA}
    assert of_dane == {"Verified", "Untrusted"}


def test_with_the_names_of_the_list(client: docker.DockerClient) -> None:
    with_names = {
        domain: list(partner.outbound.mx)
        for partner in _listed()
        if partner.outbound.mx
        for domain in partner.domains
    }
    settings = ProbeSettings(RESOLVER, partners=_listed(), extra_ca=_roots())
    for result in probe_domains(list(with_names), settings):
        finger = posttls_finger.secure(client, result.domain, with_names[result.domain])
        assert (word(result), finger.word) == ("Verified", "Verified")
    assert with_names


CASES = tuple(case for case in outbound_cases() if not case.header)


@pytest.fixture(scope="module")
def predicted(client: docker.DockerClient) -> Mapping[str, Prediction]:
    table = dict(compile_partners(_listed()).outbound)
    answers = predict_all(DOMAINS, table, CheckSettings(RESOLVER, _roots()))
    return {answer.domain: answer for answer in answers}


@pytest.fixture(scope="module")
def delivered(lab: Lab) -> Mapping[str, CaseResult]:
    seen = run_outbound(lab, CASES)
    return {one.case.domain: one for one in seen if isinstance(one.case, OutboundCase)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.domain)
def test_the_check_predicts_what_the_gateway_does(
    case: OutboundCase, predicted: Mapping[str, Prediction], delivered: Mapping[str, CaseResult]
) -> None:
    answer, seen = predicted[case.domain], delivered[case.domain]
    assert answer.outcome == seen.outcome, (answer.sentence, seen)
    if seen.outcome == "sent":
        assert (answer.version or "none") == seen.tls
    # Assured mail was never sent in clear text, and mail in clear text was not assured.
    assert not (answer.assured and seen.tls == "none")
