"""What `tlsgate check` says, against servers on this machine: DESIGN §5's table, cell by cell."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

import pytest

from tests.support.loopback import serves_on_loopback
from tests.unit.dns.fake_dns import FakeLookups
from tests.unit.probe import probe_world as world
from tests.unit.probe.probe_pki import DAY, NOW, Issued, issue
from tests.unit.probe.probe_servers import Handler, Script, serving
from tests.unit.probe.probe_world import CA, DOMAIN, HOST, MX, SECOND, Zone
from tlsgate.dns.nameservers import Resolver
from tlsgate.partners.ca import parse_ca
from tlsgate.partners.model import (
    Allow,
    Direction,
    ExceptionRule,
    Outbound,
    Partner,
    Verify,
)
from tlsgate.probe import check
from tlsgate.probe.prediction import Outcome, Prediction, Protection, predict_offline
from tlsgate.render.partner_maps import compile_partners
from tlsgate.smtp.dialogue import Limits

pytestmark = serves_on_loopback

SELF = issue((HOST,))
OTHER = issue(("elsewhere.example",), CA)
POLICY_HOST = issue((f"mta-sts.{DOMAIN}",), CA)
POLICY_ADDRESS = "127.0.0.5"
ONE, SIGNED = world.one_host(), world.one_host(secure=True)
STS: Zone = {
    (f"_mta-sts.{DOMAIN}", "TXT"): (False, ['"v=STSv1; id=1"']),
    (f"mta-sts.{DOMAIN}", "A"): (False, [POLICY_ADDRESS]),
}


@dataclass(frozen=True)
class Case:
    """`mx`: the MTA-STS policy's hosts, in mode `sts`. `says`: the sentence's beginning."""

    name: str
    zone: Zone
    servers: dict[str, Script]
    protection: Protection
    outcome: Outcome
    says: str
    partner: Partner | None = None
    tls: str = ""
    sts: str = "enforce"
    mx: str = HOST
    more: dict[str, Script] = field(default_factory=dict)


def on(issued: Issued = MX, maximum: ssl.TLSVersion | None = None) -> dict[str, Script]:
    return {world.ADDRESS: Script(issued.context(maximum))}


def _refuses_tls() -> dict[str, Script]:
    return {world.ADDRESS: Script(MX.context(), starttls=b"454 not now\r\n")}


CLEAR = {world.ADDRESS: Script()}
M, E, D, S, O, U = Protection  # noqa: E741
SENT, HELD, RETURNED = Outcome.SENT, Outcome.HELD, Outcome.RETURNED
MANDATORY = "Mandatory: only over TLS to a certificate of d.example or a name below d.example."
OPEN = "Opportunistic: encrypted today (TLSv1.3), not assured."
PLAIN = "Opportunistic: NOT encrypted today: the server offers no TLS."
BY_DANE = "DANE: only over TLS to a key that the domain's signed DNS names."
BY_STS = "MTA-STS: only over TLS to a certificate of mx.d.example, as the domain asks."
HELD_BY = "Would be held: "
NEVER = "DNS alone never returns mail to a partner."
REJECTS = Script(ehlo=b"550 no\r\n", helo=b"550 no\r\n")


def excepted(allow: Allow, until: date = date(2099, 1, 1)) -> Partner:
    rule = ExceptionRule(until, Direction.OUTBOUND, allow, "late", "security@corp.example")
    return replace(world.PKIX, exceptions=(rule,))


PRIVATE = issue(("Private CA",), ca=True)
OWN_CA = world.partner(Outbound(Verify.PRIVATE_CA, ca=parse_ca(PRIVATE.pem)))

CASES = (
    # To a partner
    Case("partner, good", ONE, on(), M, SENT, MANDATORY, world.PKIX, "TLSv1.3"),
    Case("partner, self-signed", ONE, on(SELF), M, HELD,
         f"{HELD_BY}mx.d.example [127.0.0.1] shows a self-signed certificate. {MANDATORY}",
         world.PKIX),
    Case("partner, wrong name", ONE, on(OTHER), M, HELD, f"{HELD_BY}the certificate of",
         world.PKIX),
    Case("partner, expired", ONE, on(issue((HOST,), CA, ends=NOW - DAY)), M, HELD,
         f"{HELD_BY}the certificate of mx.d.example [127.0.0.1] ended on", world.PKIX),
    Case("partner, no STARTTLS", ONE, CLEAR, M, HELD,
         f"{HELD_BY}mx.d.example [127.0.0.1] does not offer STARTTLS", world.PKIX),
    Case("partner, old TLS", ONE, on(MX, ssl.TLSVersion.TLSv1_1), M, HELD,
         f"{HELD_BY}mx.d.example [127.0.0.1] offers TLSv1.1 at most", world.PKIX),
    Case("partner, agreed names", ONE, on(OTHER), M, SENT,
         "Mandatory: only over TLS to a certificate of elsewhere.example.",
         world.named("elsewhere.example"), "TLSv1.3"),
    Case("partner, its own DANE is not what counts", {**SIGNED, **world.tlsa(MX)}, on(SELF), M,
         HELD, f"{HELD_BY}mx.d.example [127.0.0.1] shows a self-signed", world.PKIX),
    Case("partner by DANE", {**SIGNED, **world.tlsa(SELF)}, on(SELF), M, SENT,
         "Mandatory: only over TLS to a key that the domain's signed DNS names (DANE).",
         world.DANE, "TLSv1.3"),
    Case("partner by DANE, other key", {**SIGNED, **world.tlsa(MX)}, on(SELF), M, HELD,
         f"{HELD_BY}mx.d.example [127.0.0.1] shows a key that its TLSA records", world.DANE),
    Case("partner by DANE, no TLSA", SIGNED, on(), M, HELD,
         f"{HELD_BY}mx.d.example has no usable TLSA record.", world.DANE),
    Case("partner by DANE, nothing signed", {**ONE, **world.tlsa(MX)}, on(), M, HELD,
         f"{HELD_BY}mx.d.example has no usable TLSA record that DNSSEC signs.", world.DANE),
    Case("partner by key", ONE, on(SELF), M, SENT, "Mandatory: only over TLS to the pinned key.",
         world.pinned(SELF.pin), "TLSv1.3"),
    Case("partner by two keys, other key", ONE, on(SELF), M, HELD,
         f"{HELD_BY}mx.d.example [127.0.0.1] shows a key that is not one of those agreed."
         " Mandatory: only over TLS to one of the 2 pinned keys.",
         world.pinned(MX.pin, "00" * 32)),
    Case("partner, second host good", world.two_hosts(), on(SELF) | {world.OTHER_ADDRESS:
         Script(issue((SECOND,), CA).context())}, M, SENT, MANDATORY, world.PKIX, "TLSv1.3"),
    Case("partner, its own CA", ONE, on(issue((DOMAIN,), PRIVATE)), M, SENT,
         "Mandatory: only over TLS to a certificate from the partner's own CA of d.example or a",
         OWN_CA, "TLSv1.3"),
    Case("partner, its own CA, a public certificate", ONE, on(), M, HELD,
         f"{HELD_BY}mx.d.example [127.0.0.1] shows a certificate of", OWN_CA),
    Case("excepted: encrypted", ONE, on(SELF), E, SENT,
         "By an exception: encrypted today (TLSv1.3), to a server that need not prove itself.",
         excepted(Allow.ENCRYPTED), "TLSv1.3"),
    Case("excepted: encrypted, no STARTTLS", ONE, CLEAR, E, HELD,
         f"{HELD_BY}mx.d.example [127.0.0.1] does not offer STARTTLS", excepted(Allow.ENCRYPTED)),
    Case("excepted: encrypted, old TLS", ONE, on(MX, ssl.TLSVersion.TLSv1_1), E, HELD,
         f"{HELD_BY}mx.d.example [127.0.0.1] offers TLSv1.1 at most", excepted(Allow.ENCRYPTED)),
    Case("excepted: plaintext", {**SIGNED, **world.tlsa(MX)}, CLEAR, E, SENT,
         "By an exception: NOT encrypted today", excepted(Allow.PLAINTEXT)),
    Case("exception over", ONE, on(SELF), M, HELD, f"{HELD_BY}mx.d.example [127.0.0.1] shows a",
         excepted(Allow.PLAINTEXT, date(2026, 11, 1))),
    # DNS alone, and a server that has not proved itself, never return mail to a partner
    Case("partner, null MX", {(DOMAIN, "MX"): (False, ["0 ."])}, {}, M, HELD,
         f"{HELD_BY}the domain says that it takes no mail (null MX, RFC 7505); {NEVER} {MANDATORY}",
         world.PKIX),
    Case("partner, no domain", {}, {}, M, HELD,
         f"{HELD_BY}the domain has neither MX nor address records; {NEVER}", world.PKIX),
    Case("partner, no address for the MX", {(DOMAIN, "MX"): (False, [f"10 {HOST}."])}, {}, M, HELD,
         f"{HELD_BY}mx.d.example has no address; {NEVER}", world.PKIX),
    Case("partner, MX cannot be had", {(DOMAIN, "MX"): None}, {}, M, HELD,
         f"{HELD_BY}the MX look-up failed. {MANDATORY}", world.PKIX),
    Case("partner by DANE, no domain", {}, {}, M, HELD,
         f"{HELD_BY}the domain has neither MX nor address records; {NEVER}", world.DANE),
    Case("excepted, null MX", {(DOMAIN, "MX"): (False, ["0 ."])}, {}, E, HELD,
         f"{HELD_BY}the domain says that it takes no mail (null MX, RFC 7505); {NEVER}",
         excepted(Allow.PLAINTEXT)),
    Case("partner, refused", ONE, {world.ADDRESS: Script(greeting=b"554 no\r\n")}, M, HELD,
         f"{HELD_BY}mx.d.example [127.0.0.1] turns us away (554 no). {MANDATORY}", world.PKIX),
    Case("partner, refused for good", ONE, {world.ADDRESS: REJECTS}, M, HELD,
         f"{HELD_BY}mx.d.example [127.0.0.1] turns us away (550 no); a server that has not proved"
         " itself never returns mail to a partner.", world.PKIX),
    # To anybody else
    Case("anyone, good", ONE, on(), O, SENT, OPEN, tls="TLSv1.3"),
    Case("anyone, self-signed", ONE, on(SELF), O, SENT, OPEN, tls="TLSv1.3"),
    Case("anyone, old TLS", ONE, on(MX, ssl.TLSVersion.TLSv1_1), O, SENT,
         "Opportunistic: encrypted today (TLSv1.1), not assured.", tls="TLSv1.1"),
    Case("anyone, no STARTTLS", ONE, CLEAR, O, SENT, PLAIN),
    Case("anyone, STARTTLS refused", ONE, _refuses_tls(), O, SENT, PLAIN),
    Case("anyone, refused", ONE, {world.ADDRESS: Script(greeting=b"554 no\r\n")}, O, HELD,
         f"{HELD_BY}mx.d.example [127.0.0.1] turns us away (554 no). Opportunistic: encrypted if"),
    Case("anyone, away", world.one_host(address=world.NOBODY), {}, O, HELD,
         f"{HELD_BY}mx.d.example [127.0.0.9] cannot be reached (Connection refused)"),
    Case("anyone, first away", world.two_hosts() | {(HOST, "A"): (False, [world.NOBODY])},
         {world.OTHER_ADDRESS: Script(SELF.context())}, O, SENT, OPEN, tls="TLSv1.3"),
    Case("DANE", {**SIGNED, **world.tlsa(SELF)}, on(SELF), D, SENT, BY_DANE, tls="TLSv1.3"),
    Case("DANE, other key", {**SIGNED, **world.tlsa(MX)}, on(SELF), D, HELD,
         f"{HELD_BY}mx.d.example [127.0.0.1] shows a key that its TLSA records do not name."
         f" {BY_DANE}"),
    Case("DANE, no STARTTLS", {**SIGNED, **world.tlsa(SELF)}, CLEAR, D, HELD,
         f"{HELD_BY}mx.d.example [127.0.0.1] does not offer STARTTLS"),
    Case("DANE, usages of the Web: TLS, whoever it is",
         {**SIGNED, **world.tlsa(SELF, usage=1)}, on(SELF), O, SENT, OPEN, tls="TLSv1.3"),
    Case("DANE, usages of the Web, no STARTTLS", {**SIGNED, **world.tlsa(SELF, usage=1)}, CLEAR, O,
         HELD, f"{HELD_BY}mx.d.example [127.0.0.1] does not offer STARTTLS"),
    Case("TLSA cannot be had", {**SIGNED, (f"_25._tcp.{HOST}", "TLSA"): None}, on(), U, HELD,
         f"{HELD_BY}TLSA look-up failed"),
    Case("MX cannot be had", {(DOMAIN, "MX"): None}, {}, U, HELD, f"{HELD_BY}look-up failed: MX"),
    Case("no address for the MX", {(DOMAIN, "MX"): (False, [f"10 {HOST}."])}, {}, O, RETURNED,
         "Would come back: mx.d.example has no address."),
    Case("no address for one MX, the other unknown", world.two_hosts() | {(HOST, "A"): None,
         (SECOND, "A"): (False, [])}, {}, O, HELD, f"{HELD_BY}A of mx.d.example: SERVFAIL"),
    Case("refused for good", ONE, {world.ADDRESS: REJECTS}, O, RETURNED,
         "Would come back: mx.d.example [127.0.0.1] turns us away (550 no)."),
    Case("refused for good, under MTA-STS", {**ONE, **STS}, {world.ADDRESS: REJECTS}, S, RETURNED,
         "Would come back: mx.d.example [127.0.0.1] turns us away (550 no)."),
    Case("refused for good by the first of two", world.two_hosts(), {world.ADDRESS: REJECTS}
         | {world.OTHER_ADDRESS: Script(SELF.context())}, O, SENT, OPEN, tls="TLSv1.3"),
    Case("only HELO is known", ONE, {world.ADDRESS: Script(ehlo=b"550 no\r\n")}, O, SENT, PLAIN),
    Case("no domain", {}, {}, O, RETURNED, "Would come back: the domain has neither MX nor"),
    Case("null MX", {(DOMAIN, "MX"): (False, ["0 ."])}, {}, O, RETURNED, "Would come back: the"),
    # MTA-STS
    Case("MTA-STS", {**ONE, **STS}, on(), S, SENT, BY_STS, tls="TLSv1.3"),
    Case("MTA-STS, self-signed", {**ONE, **STS}, on(SELF), S, HELD,
         f"{HELD_BY}mx.d.example [127.0.0.1] shows a self-signed certificate. {BY_STS}"),
    Case("MTA-STS, another host", {**ONE, **STS}, on(), S, HELD,
         f"{HELD_BY}the MTA-STS policy does not allow the mail server mx.d.example. MTA-STS",
         mx="*.mail.d.example"),
    Case("MTA-STS, testing", {**ONE, **STS}, on(SELF), O, SENT, OPEN, tls="TLSv1.3", sts="testing"),
    Case("MTA-STS, not served as it must be", {**ONE, **STS}, on(SELF), O, SENT, OPEN,
         tls="TLSv1.3", sts="rubbish"),
    Case("MTA-STS and DANE: DANE", {**SIGNED, **STS, **world.tlsa(SELF)}, on(SELF), D, SENT,
         BY_DANE, tls="TLSv1.3"),
)  # fmt: skip


def _policy_server(case: Case) -> Handler:
    def serve(client: socket.socket) -> None:
        text = f"version: STSv1\r\nmode: {case.sts}\r\nmx: {case.mx}\r\nmax_age: 86400\r\n"
        with POLICY_HOST.context().wrap_socket(client, server_side=True) as secured:
            secured.recv(4096)
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}"
            secured.sendall(f"{head}\r\nConnection: close\r\n\r\n{text}".encode("ascii"))

    return serve


def predict(case: Case, monkeypatch: pytest.MonkeyPatch) -> Prediction:
    lookups = FakeLookups(case.zone)
    monkeypatch.setattr(check, "lookups_of", lambda _: lookups)
    maps = compile_partners((case.partner,) if case.partner else ())
    handlers: dict[str, Handler] = {
        address: script.serve for address, script in case.servers.items()
    }
    with serving({**handlers, POLICY_ADDRESS: _policy_server(case)}) as port:
        settings = check.CheckSettings(
            Resolver(("127.0.0.1",)),
            CA.pem,
            Limits(port, "check.example", 5.0, 5.0),
            port,
            dict(maps.anchors),
        )
        (answer,) = check.predict_all([DOMAIN], maps.outbound_at(datetime.now(UTC)), settings)
    return answer


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answers(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = predict(case, monkeypatch)
    assert answer.sentence.startswith(case.says), answer.sentence
    assert answer.sentence.endswith(".")
    assert (answer.protection, answer.outcome) == (case.protection, case.outcome)
    assert answer.version == case.tls
    assert answer.assured is (case.protection in {M, D, S})
    assert (answer.reason == "") is (case.outcome is SENT)
    assert answer.to_dict()["sentence"] == answer.sentence


def test_the_hosts_name_is_sent_to_partners_and_where_mta_sts_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names: list[str | None] = []
    context = MX.context()
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    servers = {world.ADDRESS: Script(context)}
    for zone, partner in (
        (ONE, None),
        (ONE | STS, None),
        (ONE, world.PKIX),
        (ONE, world.pinned(MX.pin)),
        (ONE, excepted(Allow.PLAINTEXT)),
    ):
        predict(Case("", zone, servers, S, SENT, "", partner), monkeypatch)
    assert names == [None, HOST, HOST, HOST, HOST]


@pytest.mark.parametrize(
    ("domain", "protection", "says"),
    [
        (DOMAIN, M, MANDATORY),
        (
            f"sub.{DOMAIN}",
            M,
            "Mandatory: only over TLS to a certificate of sub.d.example or a name below"
            " sub.d.example.",
        ),
        ("other.example", U, "Not on the partner list;"),
    ],
)
def test_offline_the_list_alone_speaks(domain: str, protection: Protection, says: str) -> None:
    answer = predict_offline(domain, dict(compile_partners((world.PKIX,)).outbound))
    assert (answer.protection, answer.outcome) == (protection, Outcome.NOT_TRIED)
    assert answer.sentence.startswith(says)
