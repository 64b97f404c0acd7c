"""Each peer has exactly its own fault, as Postfix's own verifier sees it."""

from __future__ import annotations

import json
import time

import pytest

from lab import plan
from lab.driver import Lab, Message, Received, message_text, new_token

pytestmark = pytest.mark.integration

FINGER = "posttls-finger -c -t 10 -T 10 -F /etc/postfix/roots.pem -o smtp_dns_support_level=dnssec"


def finger(lab: Lab, level: str, domain: str) -> str:
    """The output of posttls-finger for a domain, in the internal server's container."""
    return lab.run("internal", "sh", "-c", f"{FINGER} -l {level} {domain} 2>&1; :")


def deliver(lab: Lab, peer: plan.Peer, tls: str) -> tuple[str, int, Received | None]:
    """Send a message directly to a peer: its token, the answer's code, and what arrived."""
    token = new_token()
    to = f"{token}@{peer.free_domain}"
    text = message_text("a@corp.example", to, token)
    message = Message(token, peer.address, 25, "a@corp.example", to, text, tls)
    answer = lab.submit("internal", [message])[token]
    for _ in range(50 if answer.code == 250 else 1):
        if mail := lab.received(peer.name, token):
            return token, answer.code, mail
        time.sleep(0.1)
    return token, answer.code, None


@pytest.mark.parametrize(
    ("peer", "level", "said"),
    [
        ("good", "secure", "Verified TLS connection established to mx.good.example"),
        ("dane", "dane", "Verified TLS connection established to mx.dane.example"),
        ("dane", "secure", "self-signed certificate"),
        ("dane-broken", "dane", "no matching DANE TLSA records"),
        ("selfsigned", "secure", "self-signed certificate"),
        ("unknownca", "secure", "untrusted issuer /CN=Lab CA That Nobody Trusts"),
        ("wrongname", "secure", "hostname mismatch"),
        ("expired", "secure", "certificate has expired"),
        ("oldtls", "secure", "alert protocol version"),
        ("hosted", "secure", "Trusted TLS connection established to mx.provider.example"),
        ("spoofed", "secure", "Trusted TLS connection established to mx.attacker.example"),
        ("sts", "secure", "Verified TLS connection established to mx.sts.example"),
        ("sts-broken", "secure", "self-signed certificate"),
        ("pinned", "secure", "Verified TLS connection established to mx.pinned.example"),
        ("fixednet", "secure", "Verified TLS connection established to mx.fixednet.example"),
    ],
)
@pytest.mark.parametrize("twin", ["", "-free"])
def test_a_peer_s_certificate(lab: Lab, peer: str, level: str, said: str, twin: str) -> None:
    seen = finger(lab, level, f"{peer}{twin}.example")
    if twin and "Verified" in said and level == "secure":  # the twin is another domain: chain only
        said = said.replace("Verified", "Trusted")
    assert said in seen


@pytest.mark.parametrize("peer", ["plain", "stripped"])
def test_a_peer_without_starttls_delivers_in_the_clear(lab: Lab, peer: str) -> None:
    token, code, mail = deliver(lab, plan.BY_NAME[peer], "none")
    assert code == 250
    assert mail is not None
    assert mail.tls == "none"
    assert lab.captured(peer, token)


def test_with_starttls_nothing_is_in_the_clear(lab: Lab) -> None:
    token, code, mail = deliver(lab, plan.BY_NAME["good"], "starttls")
    assert code == 250
    assert mail is not None
    assert mail.tls == "TLSv1.3"
    assert not lab.captured("good", token)


def test_the_proxy_refuses_starttls_and_forwards_the_message(lab: Lab) -> None:
    talk = (
        "import smtplib; s = smtplib.SMTP('mx.stripped.example', 25, 'client.example', 10);"
        "print([s.ehlo()[1].decode(), s.docmd('STARTTLS')[0], s.mail('a@corp.example')[0]])"
    )
    said = lab.run("internal", "python3", "-c", talk)
    assert "STARTTLS" not in said.partition(",")[0]
    assert said.rstrip().endswith("502, 250]")
    token, _, mail = deliver(lab, plan.BY_NAME["stripped"], "none")
    assert mail is not None
    assert f"token {token}" in mail.text


@pytest.mark.parametrize("version", ["tls1", "tls1_1"])
def test_the_old_peer_speaks_old_versions(lab: Lab, version: str) -> None:
    command = (
        "openssl s_client -starttls smtp -connect mx.oldtls.example:25"
        f" -{version} -cipher ALL:@SECLEVEL=0 </dev/null 2>&1; :"
    )
    seen = lab.run("internal", "sh", "-c", command)
    assert f"Protocol: {version.replace('tls1_1', 'TLSv1.1').replace('tls1', 'TLSv1')}\n" in seen


def test_a_peer_relays_for_nobody(lab: Lab) -> None:
    to = f"a@{plan.FOREIGN}"
    text = message_text("a@corp.example", to, new_token())
    message = Message("one", plan.BY_NAME["good"].address, 25, "a@corp.example", to, text)
    assert lab.submit("internal", [message])["one"].code == 554


@pytest.mark.parametrize(
    "peer",
    ["selfsigned", "unknownca", "wrongname", "expired", "plain", "stripped", "oldtls"],
)
def test_a_repaired_peer_is_verified_until_it_is_broken_again(lab: Lab, peer: str) -> None:
    broken = finger(lab, "secure", f"{peer}.example")
    lab.repair(peer)
    try:
        repaired = finger(lab, "secure", f"{peer}.example")
    finally:
        lab.undo_repair(peer)
    again = finger(lab, "secure", f"{peer}.example")
    assert "Verified TLS" not in broken
    assert f"Verified TLS connection established to mx.{peer}.example" in repaired
    assert "Verified TLS" not in again


def test_repaired_dane_matches_the_record_that_was_there_all_along(lab: Lab) -> None:
    lab.repair("dane-broken")
    try:
        assert "Verified TLS" in finger(lab, "dane", "dane-broken.example")
    finally:
        lab.undo_repair("dane-broken")


def test_state_and_inspection_hold_no_secret(lab: Lab) -> None:
    import docker

    from lab.commands import LAB, pulumi

    client = docker.from_env()
    texts = [pulumi(LAB, "stack", "export", "--stack", LAB.name)]
    for container in client.containers.list(filters={"label": LAB.label}):
        texts.append(json.dumps(container.attrs))
    client.close()
    assert len(texts) == len(plan.PEERS) + 6
    for text in texts:
        assert "PRIVATE KEY" not in text
        assert "secret" not in text.lower().replace("secret-service", "").replace(
            "secrets_providers", ""
        ).replace("additionalsecretoutputs", "")
