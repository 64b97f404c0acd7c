from datetime import date

import pytest

from tests.unit.partners.partner_files import FILE, RECORD, complaints, load, record
from tlsgate.partners.model import (
    Allow,
    Direction,
    ExceptionRule,
    Inbound,
    Mode,
    Outbound,
    Partner,
    Require,
    Verify,
)
from tlsgate.tls import Strength

PIN = "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4"
PIN_BASE64 = "j0NDRmSPa5bfid2pAcUXaxCm2Dlh3TwayItZstwyeqQ="
EXCEPTION = """\
exceptions:
  - until: {until}
    direction: outbound
    allow: encrypted
    reason: certificate renewal late at the partner, ticket 4711
    approved_by: security@example.org
"""
DESIGN_EXAMPLE = """\
name: Acme Motors AG
contact: postmaster@acme-motors.example
agreed: 2026-10-01            # date of the agreement
review: "2027-10-01"          # to be confirmed again by then
mode: enforce                 # enforce | observe
domains: [parts.acme-motors.example, acme-motors.example]
subdomains: true
outbound:
  verify: pkix                # pkix | dane | private-ca | pin
  mx: [.mail.acme-motors.example]   # names accepted in the certificate
inbound:
  require: tls                # tls | certificate | network
  public_keys: []             # certificate: SPKI pins of the partner's client certificate
  networks: []                # network: CIDR blocks that the partner sends from
"""


def test_the_whole_record_is_read() -> None:
    (partner,) = load(acme=DESIGN_EXAMPLE)
    assert partner.file.endswith("/acme.yaml")
    assert partner == Partner(
        name="Acme Motors AG",
        contact="postmaster@acme-motors.example",
        agreed=date(2026, 10, 1),
        review=date(2027, 10, 1),
        mode=Mode.ENFORCE,
        domains=("acme-motors.example", "parts.acme-motors.example"),
        subdomains=True,
        outbound=Outbound(Verify.PKIX, (".mail.acme-motors.example",), ()),
        inbound=Inbound(Require.TLS, (), ()),
        file=partner.file,
    )


def test_what_is_left_out_has_the_strict_default() -> None:
    (partner,) = load(acme=RECORD)
    assert (partner.mode, partner.tls) == (Mode.ENFORCE, Strength.STRONG)
    assert partner.subdomains
    assert partner.outbound == Outbound(Verify.PKIX, (), ())
    assert partner.inbound == Inbound(Require.TLS, (), ())


@pytest.mark.parametrize(
    "written",
    [
        PIN,
        PIN.upper(),
        f"sha256:{PIN}",
        ":".join(PIN[i : i + 2] for i in range(0, 64, 2)),
        PIN_BASE64,
        f"sha256//{PIN_BASE64}",
    ],
)
def test_a_pin_is_read_in_every_usual_form(written: str) -> None:
    (partner,) = load(
        acme=record(
            outbound=f'{{verify: pin, public_keys: ["{written}"]}}',
            inbound="{require: certificate, networks: [10.0.0.0/12], "
            f'public_keys: ["{written}"]}}',
        )
    )
    assert partner.outbound == Outbound(Verify.PIN, (), (PIN,))
    assert partner.inbound == Inbound(Require.CERTIFICATE, (PIN,), ("10.0.0.0/12",))


@pytest.mark.parametrize("verify", ["dane", "pkix"])
@pytest.mark.parametrize("require", ["tls", "network"])
def test_networks_are_allowed_with_any_requirement(verify: str, require: str) -> None:
    inbound = f"{{require: {require}, networks: [172.29.53.0/24, '2001:db8:1::/48']}}"
    (partner,) = load(acme=record(outbound=f"{{verify: {verify}}}", inbound=inbound))
    assert partner.inbound.networks == ("172.29.53.0/24", "2001:db8:1::/48")
    assert partner.outbound.verify == verify


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        # Presence and shape
        ({"name": ""}, "1: name: is missing. Write `name: Acme Motors AG`. [missing]"),
        ({"domains": ""}, "1: domains: is missing. Write `domains: [acme.example]`. [missing]"),
        (
            {"subdomain": "true"},
            "6: subdomain: is not a key of the record. Did you mean subdomains? [unknown-key]",
        ),
        (
            {"colour": "red"},
            "6: colour: is not a key of the record. Known keys: name, contact, agreed, review,"
            " mode, tls, domains, subdomains, outbound, inbound, exceptions. [unknown-key]",
        ),
        (
            {"<<": "{mode: enforce}"},
            "6: <<: is not a key of the record. Known keys: name, contact, agreed, review,"
            " mode, tls, domains, subdomains, outbound, inbound, exceptions. [unknown-key]",
        ),
        (
            {"outbound": "{verfy: dane}"},
            "6: outbound.verfy: is not a key of the record. Did you mean verify? [unknown-key]",
        ),
        (
            {"inbound": "tls"},
            "6: inbound: is not a mapping. Write `require: …` and other keys below it,"
            " indented with spaces. [not-a-mapping]",
        ),
        ({"name": "[Acme]"}, "1: name: is a list. Write one value. [not-a-value]"),
        (
            {"name": "null"},
            "1: name: has no value. Write a value, or delete the key. [no-value]",
        ),
        (
            {"domains": "acme.example"},
            "5: domains: is not a list. Write `domains: [acme.example]`. [not-a-list]",
        ),
        (
            {"domains": "[]"},
            "5: domains: is empty. Write at least one domain, or delete the record. [empty-list]",
        ),
        ({"subdomains": "yes"}, "6: subdomains: `yes` is not true or false. Write true or false,"),
        (
            {"subdomains": "'true'"},
            "6: subdomains: `true` is not true or false. Write true or false, without quotes.",
        ),
        # Name, contact, dates
        (
            {"name": '"…"'},
            "1: name: `…` has no letters or digits. Write at least one word. [bad-text]",
        ),
        (
            {"name": '" Acme"'},
            "1: name: ` Acme` starts or ends with a space. Write Acme. [bad-text]",
        ),
        (
            {"name": r'"Acme\u202eGA"'},
            r"1: name: `Acme\u202eGA` contains unprintable characters. Write it without them",
        ),
        ({"name": "A" * 101}, f"1: name: `{'A' * 79}…` is longer than 100 characters."),
        (
            {"contact": "Acme postmaster"},
            "2: contact: `Acme postmaster` is not a mail address. Write one address, such as"
            " postmaster@acme.example. [bad-address]",
        ),
        (
            {"contact": "postmaster@Acme.example"},
            "2: contact: `postmaster@Acme.example` has a domain that has upper-case letters."
            " Write acme.example. [bad-address]",
        ),
        (
            {"agreed": "01.10.2026"},
            "3: agreed: `01.10.2026` is not a date. Write year-month-day, such as 2026-10-01."
            " [bad-date]",
        ),
        (
            {"agreed": "2026-02-30"},
            "3: agreed: `2026-02-30` is not a real date. Write a day of the calendar,"
            " as year-month-day. [bad-date]",
        ),
        (
            {"agreed": "2026-11-25"},
            "3: agreed: 2026-11-25 is in the future. Write the day of the agreement. [bad-date]",
        ),
        (
            {"review": "2026-10-01"},
            "4: review: 2026-10-01 is not after 2026-10-01, the day of the agreement. Write the"
            " day by which the agreement must be confirmed again. [bad-date]",
        ),
        # Mode, encryption and domains
        (
            {"mode": "enfroce"},
            "6: mode: `enfroce` is not one of enforce, observe. Did you mean enforce? [bad-choice]",
        ),
        (
            {"tls": "compatable"},
            "6: tls: `compatable` is not one of strong, compatible. Did you mean compatible?"
            " [bad-choice]",
        ),
        (
            {"tls": "TLSv1.2"},
            "6: tls: `TLSv1.2` is not one of strong, compatible. Write strong or compatible."
            " [bad-choice]",
        ),
        ({"tls": "[strong]"}, "6: tls: is a list. Write one value. [not-a-value]"),
        ({"tls": "~"}, "6: tls: has no value. Write a value, or delete the key. [no-value]"),
        (
            {"tsl": "strong"},
            "6: tsl: is not a key of the record. Did you mean tls? [unknown-key]",
        ),
        (
            {"domains": "[acme.example, co.uk]"},
            "5: domains[1]: `co.uk` is a public suffix: anyone can register names below it."
            " Write the domain that the organisation itself registered. [bad-domain]",
        ),
        (
            {"domains": "[Bücher.example]"},
            "5: domains[0]: `Bücher.example` is not in its canonical form."
            " Write xn--bcher-kva.example. [bad-domain]",
        ),
        (
            {"domains": "[acme.example, acme.example]"},
            "5: domains[1]: `acme.example` is already on line 5. Delete one of the two. [doubled]",
        ),
        # Outbound
        (
            {"outbound": "{verify: pin}"},
            "6: outbound.public_keys: is needed with `verify: pin`."
            " Write the SHA-256 of the SPKI of each key. [missing]",
        ),
        (
            {"outbound": f"{{verify: pkix, public_keys: [{PIN}]}}"},
            "6: outbound.public_keys: is not used with `verify: pkix`."
            " Delete it, or write `verify: pin`. [not-used]",
        ),
        (
            {"outbound": "{verify: dane, mx: [mx.acme.example]}"},
            "6: outbound.mx: is not used with `verify: dane`: TLSA records identify the"
            " server. Delete it, or write `verify: pkix`. [not-used]",
        ),
        (
            {"outbound": f"{{verify: pin, public_keys: [{PIN}], mx: [mx.acme.example]}}"},
            "6: outbound.mx: is not used with `verify: pin`: the pinned key identifies the"
            " server. Delete it, or write `verify: pkix`. [not-used]",
        ),
        (
            {"outbound": "{mx: []}"},
            "6: outbound.mx: is empty."
            " Delete the key, or write the names of the partner's servers. [empty-list]",
        ),
        (
            {"outbound": "{mx: [.co.uk]}"},
            "6: outbound.mx[0]: `.co.uk` is a public suffix: it would accept other organisations'"
            " names. Write the name of the partner's own mail servers, such as .mail.acme.example."
            " [bad-mx]",
        ),
        ({"outbound": "{mx: [.com]}"}, "6: outbound.mx[0]: `.com` has no dot."),
        (
            {"outbound": "{mx: [.MX.acme.example]}"},
            "6: outbound.mx[0]: `.MX.acme.example` has upper-case letters."
            " Write mx.acme.example, after the dot. [bad-mx]",
        ),
        (
            {"outbound": "{mx: ['*.acme.example']}"},
            "6: outbound.mx[0]: `*.acme.example` has a wildcard. Write .acme.example: the leading"
            " dot accepts any name below it. [bad-mx]",
        ),
        (
            {"outbound": "{verify: pin, public_keys: [abc]}"},
            "6: outbound.public_keys[0]: `abc` is not the SHA-256 of a public key."
            " Write the 64 hex digits of the SPKI's SHA-256: `openssl x509 -in cert.pem -noout"
            " -pubkey | openssl pkey -pubin -outform DER | sha256sum`. [bad-public-key]",
        ),
        # Inbound
        (
            {"inbound": "{require: certificate}"},
            "6: inbound.public_keys: is needed with `require: certificate`."
            " Write the SHA-256 of the SPKI of each key. [missing]",
        ),
        (
            {"inbound": f"{{require: tls, public_keys: [{PIN}]}}"},
            "6: inbound.public_keys: is not used with `require: tls`."
            " Delete it, or write `require: certificate`. [not-used]",
        ),
        (
            {"inbound": "{require: network, networks: []}"},
            "6: inbound.networks: is needed with `require: network`."
            " Write the CIDR blocks that the partner sends from. [missing]",
        ),
        (
            {"inbound": "{networks: [192.0.2.300/24]}"},
            "6: inbound.networks[0]: `192.0.2.300/24` is not a network."
            " Write a CIDR block, such as 192.0.2.0/28 or 2001:db8:1::/48. [bad-network]",
        ),
        (
            {"inbound": "{networks: [192.0.2.1/24]}"},
            "6: inbound.networks[0]: `192.0.2.1/24` is not in its canonical form."
            " Write 192.0.2.0/24. [bad-network]",
        ),
        (
            {"inbound": "{networks: [192.0.2.1]}"},
            "6: inbound.networks[0]: `192.0.2.1` is not in its canonical form."
            " Write 192.0.2.1/32. [bad-network]",
        ),
        (
            {"inbound": "{networks: [0.0.0.0/0]}"},
            "6: inbound.networks[0]: `0.0.0.0/0` is wider than /12."
            " Write the blocks that contain the partner's mail servers. [bad-network]",
        ),
        ({"inbound": "{networks: ['::/0']}"}, "6: inbound.networks[0]: `::/0` is wider than /28."),
        (
            {"inbound": "{networks: [127.0.0.0/24]}"},
            "6: inbound.networks[0]: `127.0.0.0/24` is a loopback, link-local or multicast block.",
        ),
        (
            {"inbound": "{networks: ['::ffff:192.0.2.0/120']}"},
            "6: inbound.networks[0]: `::ffff:192.0.2.0/120` is an IPv4-mapped block."
            " Write it as IPv4. [bad-network]",
        ),
        (
            {"inbound": "{networks: ['2001:DB8::/32']}"},
            "6: inbound.networks[0]: `2001:DB8::/32` is not in its canonical form."
            " Write 2001:db8::/32. [bad-network]",
        ),
    ],
)
def test_each_mistake_is_reported_with_its_line_and_what_to_write(
    changes: dict[str, str], complaint: str
) -> None:
    (reported,) = complaints(acme=record(**changes))
    assert reported.startswith(f"{FILE}:{complaint}")


@pytest.mark.parametrize("content", ["just text\n", "- a\n- b\n", "---\n---\n" + RECORD])
def test_a_document_that_is_not_a_record_is_reported(content: str) -> None:
    (reported,) = complaints(acme=content)
    assert "is not a record. Write the record's keys, such as `name: Acme Motors AG`." in reported


@pytest.mark.parametrize("until", ["2026-12-24", "2026-10-01"])
def test_an_exception_is_read_whether_it_has_ended_or_not(until: str) -> None:
    (partner,) = load(acme=RECORD + EXCEPTION.format(until=until))
    assert partner.exceptions == (
        ExceptionRule(
            date.fromisoformat(until),
            Direction.OUTBOUND,
            Allow.ENCRYPTED,
            "certificate renewal late at the partner, ticket 4711",
            "security@example.org",
        ),
    )


def test_an_exception_that_allows_nothing_is_reported() -> None:
    text = EXCEPTION.format(until="2026-12-24").replace("outbound", "inbound")
    (reported,) = complaints(acme=RECORD + text)
    assert reported == (
        f"{FILE}:9: exceptions[0].allow: allows nothing that `require: tls` does not allow anyway."
        " Delete the exception, or write `allow: plaintext`. [not-used]"
    )
    assert load(acme=record(inbound="{require: network, networks: [192.0.2.0/24]}") + text)


def test_observe_is_a_mode() -> None:
    assert load(acme=record(mode="observe"))[0].mode is Mode.OBSERVE


@pytest.mark.parametrize("strength", Strength)
def test_the_required_encryption_is_read(strength: Strength) -> None:
    assert load(acme=record(tls=strength.value))[0].tls is strength


def test_a_wrong_exception_is_reported_key_by_key() -> None:
    exceptions = "exceptions:\n  - until: 2026-09-30\n    allow: all\n    reason: ''\n  - late\n"
    reported = complaints(acme=RECORD + exceptions)
    assert [line.partition(". ")[0] for line in reported] == [
        f"{FILE}:7: exceptions[0].approved_by: is missing",
        f"{FILE}:7: exceptions[0].direction: is missing",
        f"{FILE}:7: exceptions[0].until: 2026-09-30 is before 2026-10-01, the day of the agreement",
        f"{FILE}:8: exceptions[0].allow: `all` is not one of encrypted, plaintext",
        f"{FILE}:9: exceptions[0].reason: `` has no letters or digits",
        f"{FILE}:10: exceptions[1]: is not a mapping",
    ]


def test_all_mistakes_of_a_record_are_reported_together() -> None:
    text = record(contact="nobody", agreed="soon", mode="maybe", domains="[com, a.example]")
    keys = [line.split(": ")[1] for line in complaints(acme=text)]
    assert keys == ["contact", "agreed", "domains[0]", "mode"]
