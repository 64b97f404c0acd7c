import json
import string
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.partners.ca_certificates import ca_pem
from tests.unit.partners.partner_files import RECORD, TODAY, complaints, load, record
from tlsgate.partners.format import canonical_json, digest, to_yaml
from tlsgate.partners.load import read_drafts
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
    partner_from_dict,
)
from tlsgate.partners.record import RECORD_KEYS
from tlsgate.problems import Problem
from tlsgate.tls import Strength

labels = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
domains = st.builds("{}.{}.example".format, labels, labels)
pins = st.text("0123456789abcdef", min_size=64, max_size=64)
networks = st.one_of(
    st.builds("203.0.{}.0/24".format, st.integers(0, 255)),
    st.builds("2001:db8:{:x}::/48".format, st.integers(1, 0xFFFF)),
)


def sets(items: st.SearchStrategy[str], least: int) -> st.SearchStrategy[tuple[str, ...]]:
    return st.sets(items, min_size=least, max_size=3).map(lambda found: tuple(sorted(found)))


names = st.text(
    st.characters(exclude_categories=["C", "Z"]) | st.sampled_from(" :#,[]{}'\"&*!|>%@`-"),
    min_size=1,
    max_size=100,
).filter(lambda name: name == name.strip() and name.isprintable() and any(map(str.isalnum, name)))
days = st.dates(date(2000, 1, 1), TODAY)
outbounds = st.one_of(
    st.builds(Outbound, st.just(Verify.PKIX), sets(domains.map(lambda name: f".{name}"), 0)),
    st.just(Outbound(Verify.DANE)),
    st.builds(Outbound, st.just(Verify.PIN), st.just(()), sets(pins, 1)),
)
private_cas = st.builds(
    Outbound,
    st.just(Verify.PRIVATE_CA),
    sets(domains, 0),
    st.just(()),
    st.sampled_from(["A", "B"]).map(ca_pem),
)
inbounds = st.one_of(
    st.builds(Inbound, st.just(Require.TLS), st.just(()), sets(networks, 0)),
    st.builds(Inbound, st.just(Require.CERTIFICATE), sets(pins, 1), sets(networks, 0)),
    st.builds(Inbound, st.just(Require.NETWORK), st.just(()), sets(networks, 1)),
)
addresses = st.builds("{}@{}".format, labels, domains)
partners = st.builds(
    Partner,
    name=names | st.sampled_from(["No", "null", "2026-01-01", "007", "1e3", "true", "A: b #c"]),
    contact=addresses,
    agreed=days,
    review=st.dates(date(2027, 1, 1), date(2099, 1, 1)),
    mode=st.just(Mode.ENFORCE),
    domains=sets(domains, 1),
    subdomains=st.booleans(),
    outbound=outbounds,
    inbound=inbounds,
)
"""Enforced partners without exceptions, so that time changes nothing."""
every_partner = st.builds(
    replace,
    partners,
    mode=st.sampled_from(Mode),
    tls=st.sampled_from(Strength),
    outbound=outbounds | private_cas,
    exceptions=st.lists(
        st.builds(
            ExceptionRule,
            st.dates(TODAY, date(2030, 1, 1)),
            st.sampled_from(Direction),
            st.just(Allow.PLAINTEXT),
            names,
            addresses,
        ),
        max_size=2,
    ).map(tuple),
)


@given(every_partner)
def test_a_record_written_out_reads_back_the_same(partner: Partner) -> None:
    (read,) = load(acme=to_yaml(partner))
    assert replace(read, file="") == partner


@given(every_partner)
def test_the_json_form_reads_back_the_same(partner: Partner) -> None:
    assert partner_from_dict(json.loads(json.dumps(partner.to_dict()))) == partner


@given(every_partner)
def test_a_list_that_an_older_version_delivered_demands_strong_encryption(partner: Partner) -> None:
    values = partner.to_dict()
    del values["tls"]
    assert partner_from_dict(values) == replace(partner, tls=Strength.STRONG)


@given(st.permutations(RECORD.splitlines()))
def test_the_digest_does_not_depend_on_the_order_of_keys(lines: list[str]) -> None:
    assert digest(load(acme="\n".join(lines))) == digest(load(acme=RECORD))


def test_the_digest_is_of_the_list_and_of_nothing_else() -> None:
    plain = load(
        a=record(domains="[a.example, b.example]"), b=record(name="B", domains="[c.example]")
    )
    other = load(
        z=record(domains="\n  - b.example # second\n  - 'a.example'", mode="enforce"),
        a=record(name='"B"', domains="[c.example]"),
    )
    assert digest(plain) == digest(other)
    assert digest(plain) == digest(reversed(plain))
    assert digest(plain) != digest(plain[:1])
    assert len(digest(())) == 64


def test_canonical_json_is_one_line_of_ascii_with_sorted_keys() -> None:
    text = canonical_json(load(acme=record(name="Bücher")))
    assert text.startswith('[{"agreed":"2026-10-01","contact":"postmaster@acme.example",')
    assert r'"name":"B\u00fccher"' in text
    assert "\n" not in text


def test_yaml_has_the_order_of_the_record_and_quotes_what_needs_it() -> None:
    partner = Partner(
        name="No",
        contact="postmaster@acme.example",
        agreed=date(2026, 10, 1),
        review=date(2027, 10, 1),
        mode=Mode.ENFORCE,
        tls=Strength.COMPATIBLE,
        domains=("acme.example", "b.example"),
        subdomains=False,
        outbound=Outbound(Verify.PKIX, (".acme.example",)),
        inbound=Inbound(Require.NETWORK, (), ("2001:db8::/32",)),
        exceptions=(
            ExceptionRule(
                date(2026, 12, 24),
                Direction.OUTBOUND,
                Allow.ENCRYPTED,
                "late: #1",
                "s@acme.example",
            ),
        ),
    )
    text = to_yaml(partner)
    assert text == (
        'name: "No"\n'
        "contact: postmaster@acme.example\n"
        "agreed: 2026-10-01\n"
        "review: 2027-10-01\n"
        "mode: enforce\n"
        "tls: compatible\n"
        "domains: [acme.example, b.example]\n"
        "subdomains: false\n"
        "outbound:\n"
        "  verify: pkix\n"
        "  mx: [.acme.example]\n"
        "inbound:\n"
        "  require: network\n"
        '  networks: ["2001:db8::/32"]\n'
        "exceptions:\n"
        "  - until: 2026-12-24\n"
        "    direction: outbound\n"
        "    allow: encrypted\n"
        '    reason: "late: #1"\n'
        "    approved_by: s@acme.example\n"
    )
    assert replace(load(acme=text)[0], file="") == partner
    assert partner_from_dict(partner.to_dict()) == partner


pieces = st.lists(
    st.sampled_from(RECORD_KEYS)
    | st.sampled_from(":-?[]{},&*!|>'\"%@`#~\n\t ")
    | st.sampled_from([": ", "\n  ", "- ", "---\n", "<<"])
    | st.text(string.printable, max_size=5),
    max_size=40,
).map("".join)


@given(st.binary() | st.text().map(str.encode) | pieces.map(str.encode))
def test_any_bytes_give_records_or_problems_and_never_raise(data: bytes) -> None:
    problems: list[Problem] = []
    drafts = list(read_drafts(data, "acme.yaml", TODAY, problems))
    assert problems or all(draft.partner for draft in drafts)
    assert all(str(problem).isprintable() for problem in problems)


@pytest.mark.parametrize("cut", range(0, len(RECORD), 7))
def test_a_file_cut_short_is_never_half_a_partner(cut: int) -> None:
    assert complaints(acme=RECORD[:cut])
