"""Single handshakes of OpenSSL 3.5 with the gateway's ports and with the policy host.

The servers have RSA keys here, with which every suite would be possible: what is refused is
refused by configuration, not for want of a key.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.integration.postfix.pki import Key
from tests.integration.postfix.world import until
from tests.integration.scan.scan_world import HTTPS_PORT, PORTS, TRUSTED_ROOT, ScanWorld
from tlsgate.tls import STRONG_SUITES

pytestmark = pytest.mark.integration

LAX_PORT = 4433
REFUSED = {
    "ADH": "-tls1_2 -cipher ADH:@SECLEVEL=0",
    "AECDH": "-tls1_2 -cipher AECDH:@SECLEVEL=0",
    "NULL": "-tls1_2 -cipher eNULL:@SECLEVEL=0",
    "static RSA": "-tls1_2 -cipher kRSA:@SECLEVEL=0",
    "CBC, SHA-1": "-tls1_2 -cipher ECDHE-RSA-AES128-SHA:DHE-RSA-AES256-SHA:@SECLEVEL=0",
    "CBC, SHA-2": "-tls1_2 -cipher ECDHE-RSA-AES128-SHA256:DHE-RSA-AES256-SHA256:@SECLEVEL=0",
    "CCM": "-tls1_2 -cipher DHE-RSA-AES256-CCM:@SECLEVEL=0",
    "TLS 1.1": "-tls1_1 -cipher ALL:@SECLEVEL=0",
    "TLS 1.0": "-tls1 -cipher ALL:@SECLEVEL=0",
}
PREFERRED_LAST = ":".join(s for s in reversed(STRONG_SUITES) if "ECDHE-RSA" in s)


@pytest.fixture(scope="module")
def world(start: Callable[[Callable[[], Key]], ScanWorld]) -> Iterator[ScanWorld]:
    """A world with RSA keys, and with a server that accepts every offer."""
    made = start(lambda: rsa.generate_private_key(65537, 2048))
    made.shell(
        "cd /tmp && openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=lax -keyout k -out c &&"
        f" openssl s_server -accept {LAX_PORT} -key k -cert c -cipher ALL:eNULL:@SECLEVEL=0"
        " -min_protocol TLSv1 -www >/dev/null 2>&1 &"
    )
    until(lambda: suite(handshake(made, LAX_PORT)), what="a server that accepts every offer")
    yield made


def handshake(world: ScanWorld, port: int, options: str = "") -> str:
    """The output of `openssl s_client`."""
    if port == LAX_PORT:
        to = f"localhost:{port}"
    else:
        host = world.host(port)
        starttls = "" if port == HTTPS_PORT else "-starttls smtp"
        to = f"{host}:{port} -servername {host} -CAfile {TRUSTED_ROOT} {starttls}"
    return world.shell(f"timeout 20 openssl s_client -connect {to} {options} </dev/null 2>&1")


def suite(answer: str) -> str | None:
    """The negotiated suite."""
    match = re.search(r"^New, TLSv1\S*, Cipher is (\S+)$", answer, re.M)
    return match[1] if match else None


@pytest.mark.parametrize("offer", REFUSED)
def test_the_client_can_make_the_handshake_with_a_server_that_accepts_it(
    world: ScanWorld, offer: str
) -> None:
    assert suite(handshake(world, LAX_PORT, REFUSED[offer])) is not None


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("offer", REFUSED)
def test_weak_handshakes_are_refused(world: ScanWorld, port: int, offer: str) -> None:
    answer = handshake(world, port, REFUSED[offer])
    assert suite(answer) is None
    assert re.search(r"alert (handshake failure|protocol version)", answer), answer


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize(
    ("offer", "chosen"),
    [
        (f"-tls1_2 -cipher {PREFERRED_LAST}", PREFERRED_LAST.rpartition(":")[2]),
        (
            "-tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384",
            "TLS_AES_256_GCM_SHA384",
        ),
    ],
)
def test_the_servers_order_of_suites_counts(
    world: ScanWorld, port: int, offer: str, chosen: str
) -> None:
    assert suite(handshake(world, port, offer)) == chosen


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize(
    ("groups", "chosen"),
    [
        ("", "X25519MLKEM768"),
        # The client begins with another group: the server asks for the better one.
        ("-groups X25519:X25519MLKEM768", "X25519MLKEM768"),
        ("-groups prime256v1:secp384r1:X25519:X25519MLKEM768", "X25519MLKEM768"),
        ("-groups X25519", "X25519"),
        ("-groups secp384r1", "ECDH, secp384r1"),
        ("-groups secp521r1:X448", None),
    ],
)
def test_the_key_exchange_withstands_quantum_computers_where_both_can(
    world: ScanWorld, port: int, groups: str, chosen: str | None
) -> None:
    answer = handshake(world, port, groups)
    match = re.search(
        r"^(?:Negotiated TLS1.3 group|Peer Temp Key): (.*?)(?:, \d+ bits)?$", answer, re.M
    )
    assert (match[1] if match and suite(answer) else None) == chosen
    assert not chosen or "Verify return code: 0 (ok)" in answer


def test_the_same_is_true_of_the_gateway_as_a_client(world: ScanWorld) -> None:
    context = ssl.create_default_context(cadata=world.ca.pem)
    context.check_hostname = False  # it is connected to by its address
    with world.session(2525, tls=False) as session:
        session.starttls(context=context)
        session.sendmail("sender@corp.example", ["someone@one.example"], "Subject: test\r\n\r\n")
    assert world.outcome("someone@one.example").status == "sent"
    assert re.search(
        r"Verified TLS connection established to mx\.one\.example\S+"
        r" TLSv1\.3 with cipher \S+ \(.*?\) key-exchange X25519MLKEM768 ",
        world.log(),
    )
