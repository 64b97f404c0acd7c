"""Every verdict, against servers on this machine: what a domain is ready for, and why not."""

from __future__ import annotations

import asyncio
import json
import ssl
from dataclasses import dataclass, field

import pytest

from tests.support.loopback import serves_on_loopback
from tests.unit.dns.fake_dns import FakeLookups
from tests.unit.probe import probe_world as world
from tests.unit.probe.probe_pki import DAY, NOW, Issued, intermediate, issue
from tests.unit.probe.probe_servers import Script, serving
from tests.unit.probe.probe_world import CA, DOMAIN, HOST, MX, SECOND, Zone
from tlsgate.dns.nameservers import Resolver
from tlsgate.partners.model import Partner
from tlsgate.probe.probe import ProbeSettings, probe_all
from tlsgate.probe.result import ProbeResult
from tlsgate.smtp.dialogue import Limits

pytestmark = serves_on_loopback

SELF = issue((HOST,))
MIDDLE = intermediate(CA, "Middle")
BELOW = issue((HOST,), MIDDLE)
FOREIGN = issue(("mx.provider.example",), CA)
BOTH = issue((HOST, SECOND), CA)


@dataclass(frozen=True)
class Case:
    """`servers`: by address. `ready`: the kinds. `says`: in the sentence or the notes."""

    name: str
    zone: Zone
    servers: dict[str, Script]
    ready: str
    says: tuple[str, ...] = ()
    partner: Partner | None = None
    mx_names: tuple[str, ...] = ()
    satisfied: bool = field(default=False)


def tls(issued: object = MX, maximum: ssl.TLSVersion | None = None) -> dict[str, Script]:
    return {world.ADDRESS: Script(issued.context(maximum))}  # type: ignore[attr-defined]


def _by_name(issued: Issued) -> ssl.SSLContext:
    """Shows the right certificate only to those who name the host."""
    context, right = SELF.context(), issued.context()

    def choose(sock: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        if name == HOST:
            sock.context = right

    context.sni_callback = choose
    return context


ONE, SIGNED = world.one_host(), world.one_host(secure=True)

CASES = (
    Case("good", ONE, tls(), "pkix pin", ("d.example is ready for pkix and pin: mx.d.example offers"
        " TLSv1.3 with a certificate of Test CA",), satisfied=True),
    Case("good by a common name", ONE, tls(issue((), CA, common_name=HOST)), "pkix pin",
         satisfied=True),
    Case("good by an intermediate", ONE, tls(BELOW), "pkix pin", satisfied=True),
    Case("good, and a partner", ONE, tls(), "pkix pin", partner=world.PKIX, satisfied=True),
    Case("self-signed", ONE, tls(SELF), "pin", ("shows a self-signed certificate. Please install",
         "not ready for pkix, only for pin")),
    Case("unknown CA", ONE, tls(issue((HOST,), issue(("Obscure",), ca=True))), "pin",
         ("a certificate of 'Obscure', which leads to no public CA",)),
    Case("expired", ONE, tls(issue((HOST,), CA, ends=NOW - DAY)), "pin",
         (f"the certificate of mx.d.example [127.0.0.1] ended on {NOW - DAY:%Y-%m-%d}",)),
    Case("not yet valid", ONE, tls(issue((HOST,), CA, starts=NOW + DAY)), "pin",
         ("is not valid before",)),
    Case("ends soon", ONE, tls(issue((HOST,), CA, ends=NOW + 3 * DAY)), "pkix pin",
         ("ends on",), satisfied=True),
    Case("wrong name", ONE, tls(issue(("elsewhere.example",), CA)), "pin",
         ("is for elsewhere.example, not for d.example or a name below d.example",)),
    Case("no name", ONE, tls(issue((), CA, common_name="Some Words")), "pin",
         ("is for Some Words, not for",)),
    Case("no STARTTLS", ONE, {world.ADDRESS: Script()}, "",
         ("does not offer STARTTLS, or something on the way takes the offer out",)),
    Case("only old TLS", ONE, tls(MX, ssl.TLSVersion.TLSv1_1), "",
         ("offers TLSv1.1 at most. Please offer TLS 1.2 or later",)),
    Case("text behind STARTTLS", ONE, {world.ADDRESS: Script(MX.context(),
         behind_starttls=b"250 x\r\n")}, "", ("text in the clear behind its answer",)),
    Case("refused", ONE, {world.ADDRESS: Script(greeting=b"554 blocked\r\n")}, "",
         ("turns us away (554 blocked). Please let our gateway connect",)),
    Case("nobody there", world.one_host(address=world.NOBODY), {}, "",
         ("cannot be reached (Connection refused)",)),
    Case("DANE", {**SIGNED, **world.tlsa(SELF)}, tls(SELF), "dane pin",
         ("ready for dane and pin: mx.d.example offers TLSv1.3 with a key that its signed TLSA",),
         satisfied=True),
    Case("DANE by an anchor", {**SIGNED, **world.tlsa(MIDDLE, usage=2)}, tls(BELOW),
         "pkix dane pin", satisfied=True),
    Case("DANE, wrong key", {**SIGNED, **world.tlsa(MX)}, tls(SELF), "pin",
         ("not ready for dane", "shows a key that its TLSA records do not name",
          "senders that use DANE hold mail back")),
    Case("DANE, unsigned TLSA", {**SIGNED, **world.tlsa(SELF, secure=False)}, tls(SELF), "pin"),
    Case("DANE, unsigned MX", {**ONE, **world.tlsa(SELF)}, tls(SELF), "pin"),
    Case("DANE, usages of the Web", {**SIGNED, **world.tlsa(SELF, usage=1)}, tls(SELF), "pin"),
    Case("DANE, no STARTTLS", {**SIGNED, **world.tlsa(SELF)}, {world.ADDRESS: Script()}, ""),
    Case("DANE, TLSA cannot be had", {**SIGNED, (f"_25._tcp.{HOST}", "TLSA"): None}, tls(),
         "pkix pin", satisfied=True),
    Case("DANE demanded, only pkix there", SIGNED, tls(), "pkix pin",
         ("not ready for dane, only for pkix and pin: mx.d.example has no TLSA record",),
         partner=world.DANE),
    Case("hosted", ONE | {(DOMAIN, "MX"): (False, ["10 mx.provider.example."]),
         ("mx.provider.example", "A"): (False, [world.ADDRESS])}, tls(FOREIGN), "pin",
         ("is for mx.provider.example, not for d.example",), mx_names=("mx.provider.example",)),
    Case("hosted, and agreed", ONE, tls(FOREIGN), "pkix pin",
         partner=world.named("mx.provider.example"), satisfied=True),
    Case("hosted, other names agreed", ONE, tls(MX), "pin",
         ("not for .provider.example".replace(" .", " a name below "),),
         partner=world.named(".provider.example"), mx_names=(HOST,)),
    Case("pinned", ONE, tls(SELF), "pin", partner=world.pinned(SELF.pin, "00" * 32),
         satisfied=True),
    Case("pinned, other key", ONE, tls(SELF), "", ("a key that is not one of those agreed",),
         partner=world.pinned(MX.pin)),
    Case("two hosts, both good", world.two_hosts(), {world.ADDRESS: Script(BOTH.context()),
         world.OTHER_ADDRESS: Script(BOTH.context())}, "pkix pin", satisfied=True),
    Case("two hosts, one bad", world.two_hosts(), {world.ADDRESS: Script(BOTH.context()),
         world.OTHER_ADDRESS: Script(SELF.context())}, "pin",
         ("mx2.d.example [127.0.0.2] shows a self-signed certificate",)),
    Case("two hosts, one away", world.two_hosts(second=world.NOBODY), tls(BOTH), "pkix pin",
         ("mx2.d.example [127.0.0.9] cannot be reached from here",), satisfied=True),
    Case("a host without address", ONE | {(DOMAIN, "MX"): (False, [f"5 {SECOND}.", f"10 {HOST}."])},
         tls(), "pkix pin", ("mx2.d.example has no address",), satisfied=True),
    Case("an MX that is no host name", ONE | {(DOMAIN, "MX"): (False, [r"5 a\032b.example.",
         f"10 {HOST}."])}, tls(), "pkix pin", ("the MX is not a host name",), satisfied=True),
    Case("no MX", {(DOMAIN, "A"): (False, [world.ADDRESS])}, tls(issue((DOMAIN,), CA)), "pkix pin",
         satisfied=True),
    Case("no domain", {}, {}, "", ("neither MX nor address records",)),
    Case("null MX", {(DOMAIN, "MX"): (False, ["0 ."])}, {}, "", ("takes no mail",)),
    Case("null MX of a partner", {(DOMAIN, "MX"): (False, ["0 ."])}, {}, "",
         ("takes no mail", "mail to it waits: DNS alone never returns mail to a partner"),
         partner=world.PKIX),
    Case("MX of a partner cannot be had", {(DOMAIN, "MX"): None}, {}, "",
         ("the MX look-up failed",), partner=world.PKIX),
    Case("only by server name", ONE, {world.ADDRESS: Script(_by_name(MX))}, "pkix pin",
         satisfied=True),
    Case("MX cannot be had", {(DOMAIN, "MX"): None}, {}, "",
         ("the MX look-up failed", "check the domain's name servers")),
    Case("no address can be had", {(DOMAIN, "MX"): (False, [f"10 {HOST}."]), (HOST, "A"): None}, {},
         "", ("none of its mail servers has an address (A of mx.d.example: SERVFAIL)",)),
)  # fmt: skip


def probe(case: Case) -> ProbeResult:
    handlers = {address: script.serve for address, script in case.servers.items()}
    with serving(handlers) as port:
        settings = ProbeSettings(
            Resolver(("127.0.0.1",)),
            partners=(case.partner,) if case.partner else (),
            extra_ca=CA.pem,
            limits=Limits(port, "probe.example", 5.0, 5.0),
        )
        (result,) = asyncio.run(probe_all([DOMAIN], settings, FakeLookups(case.zone)))
    return result


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_verdicts(case: Case) -> None:
    result = probe(case)
    kinds = [kind.value for kind in sorted(result.ready)]
    assert kinds == sorted(case.ready.split())
    told = " | ".join((result.sentence, *result.notes))
    assert [words for words in case.says if words not in told] == []
    assert result.mx_names == case.mx_names
    assert result.satisfied is case.satisfied
    assert set(result.reasons) == {"pkix", "dane", "pin"} - set(kinds)
    # A whole sentence about the domain, and JSON whatever was seen.
    assert result.sentence.startswith(DOMAIN)
    assert result.sentence.endswith(".")
    assert json.loads(json.dumps(result.to_dict()))["ready"] == sorted(
        kinds, key=["pkix", "dane", "pin"].index
    )


def test_what_a_program_gets() -> None:
    result = probe(Case("", {**SIGNED, **world.tlsa(SELF)}, tls(SELF), "")).to_dict()
    server = result["mx"]["hosts"][0].pop("servers")[0]
    assert result["mx"] == {
        "dnssec": True,
        "implicit": False,
        "missing": None,
        "hosts": [
            {
                "name": HOST,
                "preference": 10,
                "dnssec": True,
                "tlsa": "usable",
                "tlsa_records": [f"3 1 1 {SELF.pin}"],
                "fault": None,
            }
        ],
    }
    assert (server["address"], server["strict"]["fault"]) == (world.ADDRESS, "untrusted")
    assert (server["lenient"]["fault"], server["lenient"]["version"]) == (None, "TLSv1.3")
    assert server["certificate"]["names"] == [HOST]
    assert server["certificate"]["spki_sha256"] == SELF.pin
    assert result["public_keys"] == [SELF.pin]


def test_a_shared_server_is_asked_once_and_one_at_a_time() -> None:
    domains = [f"d{number}.example" for number in range(20)]
    zone: Zone = {(domain, "MX"): (False, ["10 mx.example."]) for domain in domains}
    zone["mx.example", "A"] = (False, [world.ADDRESS, world.OTHER_ADDRESS])
    script = Script(SELF.context())
    with serving({world.ADDRESS: script.serve, world.OTHER_ADDRESS: script.serve}) as port:
        settings = ProbeSettings(Resolver(("127.0.0.1",)), limits=Limits(port))
        results = asyncio.run(probe_all(domains, settings, FakeLookups(zone)))
    assert [result.domain for result in results] == domains
    # At each address the strict offer, and then the lenient one.
    assert len(script.seen) == 4
    assert script.open_most <= 2


def test_hundreds_of_mx_hosts_are_not_all_asked() -> None:
    hosts = [f"mx{number}.d.example" for number in range(300)]
    zone: Zone = {(DOMAIN, "MX"): (False, [f"10 {host}." for host in hosts])}
    addresses = [f"127.0.1.{number}" for number in range(1, 250)]
    zone |= {(host, "A"): (False, addresses) for host in hosts}
    result = probe(Case("", zone, {}, ""))
    assert len({server.host.name for server in result.servers}) == 20
    assert len({server.contact.address for server in result.servers}) == 16
    left_out = 280 + 20 * (249 - 16)
    assert f"{left_out} more of its servers and addresses were not looked at" in result.notes
