"""The lab's DNS: its resolver validates, and each TSIG key can write only what it may."""

from __future__ import annotations

import re
import socket
import ssl
import urllib.request
from http.client import HTTPSConnection

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.resolver
import dns.tsig
import dns.update
import pytest
from cryptography import x509

from lab import files, pki, plan
from lab.bring_up import bring_up
from lab.driver import Lab
from lab.endpoints import LOOPBACK
from lab.prepare import tlsa_hashes

pytestmark = pytest.mark.integration


def ask(name: str, kind: str, server: str = plan.RESOLVER_ADDRESS) -> dns.message.Message:
    query = dns.message.make_query(name, kind, want_dnssec=True)
    return dns.query.udp(query, server, timeout=5)


def is_validated(answer: dns.message.Message) -> bool:
    return bool(answer.flags & dns.flags.AD)


def update(key: str, zone: str, *change: str, delete: bool = False) -> str:
    """The answer to one update, signed with a key of lab/.state/dns."""
    found = re.search(r'secret "(.*)"', (files.DNS / f"{key}.key").read_text())
    assert found
    message = signed(key, found[1], zone)
    name, kind, value = change
    if delete:
        message.delete(name, kind, value)
    else:
        message.add(name, 5, kind, value)
    return send(message)


def signed(key: str, secret: str, zone: str) -> dns.update.UpdateMessage:
    keyring = {dns.name.from_text(key): dns.tsig.Key(key, secret, "hmac-sha256")}
    return dns.update.UpdateMessage(zone, keyring=keyring)


def send(message: dns.update.UpdateMessage) -> str:
    """The answer's code. Knot refuses with NOTAUTH and without a signature."""
    wire = message.to_wire()
    with socket.create_connection((LOOPBACK, plan.DNS_HOST_PORT), 5) as connection:
        connection.sendall(len(wire).to_bytes(2) + wire)
        with connection.makefile("rb") as stream:
            answer = stream.read(int.from_bytes(stream.read(2)))
    return dns.rcode.to_text(
        dns.message.from_wire(answer, keyring=False, ignore_trailing=True).rcode()
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("good.example", "MX"),
        ("mx.dane.example", "A"),
        ("_25._tcp.mx.dane.example", "TLSA"),
        ("_mta-sts.sts.example", "TXT"),
        ("corp.example", "SOA"),
        ("brand.example", "SOA"),
        ("nothing.corp.example", "A"),
    ],
)
def test_the_resolver_validates(lab: Lab, name: str, kind: str) -> None:
    answer = ask(name, kind)
    assert is_validated(answer), answer.to_text()


def test_the_published_key_hash_is_the_server_s_or_intentionally_another(lab: Lab) -> None:
    for peer in ("dane", "dane-broken"):
        host = plan.BY_NAME[peer].host
        (tlsa,) = [
            record
            for answer in ask(f"_25._tcp.{host}", "TLSA").answer
            for record in answer
            if record.rdtype.name == "TLSA"
        ]
        assert (tlsa.usage, tlsa.selector, tlsa.mtype) == (3, 1, 1)
        assert tlsa.cert.hex() == tlsa_hashes()[host]
        chain = (files.PEERS / peer / "chain.pem").read_text()
        uses_it = tlsa.cert.hex() == pki.spki_sha256(pki.load_key(chain))
        assert uses_it == (peer == "dane")


@pytest.mark.parametrize(
    ("key", "change", "answer"),
    [
        ("agent", ("_acme-challenge.mx1", "TXT", '"x"'), "NOERROR"),
        ("agent", ("_25._tcp.mx1", "TLSA", f"3 1 1 {'ab' * 32}"), "NOERROR"),
        ("agent", ("_acme-challenge.mx1.dept", "TXT", '"x"'), "NOERROR"),
        ("agent", ("mx1.dept", "TXT", '"x"'), "NOTAUTH"),
        ("agent", ("_acme-challenge.mx1", "A", "192.0.2.1"), "NOTAUTH"),
        ("agent", ("mx1", "A", "192.0.2.1"), "NOTAUTH"),
        ("agent", ("mx1", "TXT", '"x"'), "NOTAUTH"),
        ("agent", ("mx1", "TLSA", f"3 1 1 {'ab' * 32}"), "NOTAUTH"),
        ("agent", ("_25._tcp.mx1", "TXT", '"x"'), "NOTAUTH"),
        ("agent", ("_mta-sts", "TXT", '"v=STSv1; id=1"'), "NOTAUTH"),
        ("agent", ("@", "MX", "10 mx.evil.example."), "NOTAUTH"),
        ("pulumi", ("lab-test", "A", "192.0.2.1"), "NOERROR"),
        ("pulumi", ("_acme-challenge.lab-test", "TXT", '"x"'), "NOERROR"),
    ],
)
def test_a_key_writes_what_it_may_and_no_more(
    lab: Lab, key: str, change: tuple[str, str, str], answer: str
) -> None:
    change = (change[0].replace("mx1", "lab-test"), *change[1:])
    said = update(key, "corp.example", *change)
    if said == "NOERROR":
        assert update(key, "corp.example", *change, delete=True) == "NOERROR"
    assert said == answer


def test_the_static_zone_takes_no_update(lab: Lab) -> None:
    assert update("pulumi", "example", "lab-test", "A", "192.0.2.1") == "NOTAUTH"


def test_a_stranger_s_key_is_unknown(lab: Lab) -> None:
    message = signed("other", "b3RoZXI=", "corp.example")
    message.add("lab-test", 5, "A", "192.0.2.1")
    assert send(message) == "NOTAUTH"


def test_what_was_published_survives_a_new_container_and_so_do_the_keys(lab: Lab) -> None:
    import docker

    client = docker.from_env()
    change = ("lab-survives", "A", "192.0.2.7")
    assert update("pulumi", "brand.example", *change) == "NOERROR"
    try:
        client.containers.get(plan.container_name("dns")).remove(force=True)
        bring_up(client)
        assert is_validated(answer := ask("lab-survives.brand.example", "A"))
        assert "192.0.2.7" in answer.to_text()
    finally:
        update("pulumi", "brand.example", *change, delete=True)
        client.close()


def test_the_directory_answers_under_its_names_and_the_bundle_has_its_root(lab: Lab) -> None:
    context = ssl.create_default_context(cafile=str(files.PKI / "pebble-ca.pem"))
    with urllib.request.urlopen(
        f"https://{LOOPBACK}:{plan.ACME_PORT}/dir", context=context, timeout=10
    ) as answer:
        assert b"newOrder" in answer.read()
    raw = socket.create_connection((plan.CA_ADDRESS, plan.ACME_PORT), 5)
    with raw, context.wrap_socket(raw, server_hostname=plan.CA_HOST) as session:
        assert session.version() == "TLSv1.3"
    bundle = (files.PKI / "public-roots.pem").read_bytes()
    names = [c.subject.rfc4514_string() for c in x509.load_pem_x509_certificates(bundle)]
    assert names[0] == "CN=Lab Public CA"
    assert names[1].startswith("CN=Pebble Root CA")


@pytest.mark.parametrize("domain", plan.POLICY_DOMAINS)
def test_each_policy_is_served_under_its_own_name(lab: Lab, domain: str) -> None:
    context = ssl.create_default_context(cafile=str(files.PKI / "public-ca.pem"))
    raw = socket.create_connection((plan.POLICY_ADDRESS, 443), 5)
    connection = HTTPSConnection(f"mta-sts.{domain}", context=context)
    connection.sock = context.wrap_socket(raw, server_hostname=f"mta-sts.{domain}")
    connection.request("GET", "/.well-known/mta-sts.txt")
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 200
    assert answer.getheader("Content-Type") == "text/plain"
    assert "mode: enforce\r\n" in text
