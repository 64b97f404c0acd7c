"""Each way to weaken a partner, and changes that tighten it or change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import pytest

from tlsgate.partners import strength
from tlsgate.partners.diff import (
    diff_lists,
    weakened_partners,
    weakening_digest,
    weakenings,
)
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
from tlsgate.partners.strength import compare
from tlsgate.tls import Strength

K1, K2 = "1" * 64, "2" * 64
CA_1, CA_2 = (
    f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"
    for body in ("YQ==\nYQ==", "Yg==\nYQ==")
)
ACME = Partner(
    name="Acme",
    contact="postmaster@acme.example",
    agreed=date(2026, 10, 1),
    review=date(2027, 10, 1),
    mode=Mode.ENFORCE,
    domains=("acme.example",),
    subdomains=True,
    outbound=Outbound(),
    inbound=Inbound(),
    file="partners/acme.yaml",
)
BETA = replace(ACME, name="Beta", domains=("beta.example",), file="partners/beta.yaml")


def out(verify: str = "pkix", *mx: str, keys: Sequence[str] = ()) -> Outbound:
    return Outbound(Verify(verify), mx, tuple(keys))


def inb(require: str, *networks: str, keys: Sequence[str] = ()) -> Inbound:
    return Inbound(Require(require), tuple(keys), networks)


def until(day: int, allow: str = "encrypted", direction: str = "outbound") -> ExceptionRule:
    last = date(2026, 12, day)
    return ExceptionRule(last, Direction(direction), Allow(allow), "late", "s@corp.example")


def reported(old: Sequence[Partner], new: Sequence[Partner]) -> list[tuple[str, str]]:
    return [(one.key, one.aspect) for one in weakenings(old, new)]


def both(aspect: str) -> list[tuple[str, str]]:
    return [(".acme.example", aspect), ("acme.example", aspect)]


WEAKER = {
    "level pkix to dane": ({}, {"outbound": out("dane")}, "outbound.verify"),
    "level dane to pkix": ({"outbound": out("dane")}, {}, "outbound.verify"),
    "level pkix to private CA": ({}, {"outbound": out("private-ca")}, "outbound.verify"),
    "level pkix to pin": ({}, {"outbound": out("pin", keys=[K1])}, "outbound.verify"),
    "level pin to pkix": ({"outbound": out("pin", keys=[K1])}, {}, "outbound.verify"),
    "a name more": (
        {"outbound": out("pkix", "mx.acme.example")},
        {"outbound": out("pkix", "mx.acme.example", "mx.evil.example")},
        "outbound.mx",
    ),
    "another name": (
        {"outbound": out("pkix", "mx1.acme.example")},
        {"outbound": out("pkix", "mx2.acme.example")},
        "outbound.mx",
    ),
    "a name becomes a pattern": (
        {"outbound": out("pkix", "mail.acme.example")},
        {"outbound": out("pkix", ".mail.acme.example")},
        "outbound.mx",
    ),
    "a pattern of a parent": (
        {"outbound": out("pkix", ".mail.acme.example")},
        {"outbound": out("pkix", ".acme.example")},
        "outbound.mx",
    ),
    "a pattern does not cover its own name": (
        {"outbound": out("pkix", ".acme.example")},
        {"outbound": out("pkix", "acme.example")},
        "outbound.mx",
    ),
    "a pattern does not cover a name that only ends so": (
        {"outbound": out("pkix", ".acme.example")},
        {"outbound": out("pkix", "mx.evilacme.example")},
        "outbound.mx",
    ),
    "names of the private CA": (
        {"outbound": out("private-ca", "mx.acme.example")},
        {"outbound": out("private-ca", ".acme.example")},
        "outbound.mx",
    ),
    "names given up for any": ({"outbound": out("pkix", "mx.x.example")}, {}, "outbound.mx"),
    "a server pin more": (
        {"outbound": out("pin", keys=[K1])},
        {"outbound": out("pin", keys=[K1, K2])},
        "outbound.public_keys",
    ),
    "another server pin": (
        {"outbound": out("pin", keys=[K1])},
        {"outbound": out("pin", keys=[K2])},
        "outbound.public_keys",
    ),
    "a CA more": (
        {"outbound": Outbound(Verify.PRIVATE_CA, ca=CA_1)},
        {"outbound": Outbound(Verify.PRIVATE_CA, ca=CA_1 + CA_2)},
        "outbound.ca",
    ),
    "another CA": (
        {"outbound": Outbound(Verify.PRIVATE_CA, ca=CA_1)},
        {"outbound": Outbound(Verify.PRIVATE_CA, ca=CA_2)},
        "outbound.ca",
    ),
    "no CA at all": (
        {"outbound": Outbound(Verify.PRIVATE_CA, ca=CA_1)},
        {"outbound": Outbound(Verify.PRIVATE_CA)},
        "outbound.ca",
    ),
    "no server pin at all": (
        {"outbound": out("pin", keys=[K1])},
        {"outbound": out("pin")},
        "outbound.public_keys",
    ),
    "network to tls": (
        {"inbound": inb("network", "192.0.2.0/28")},
        {"inbound": inb("tls", "192.0.2.0/28")},
        "inbound.require",
    ),
    "certificate to tls": ({"inbound": inb("certificate", keys=[K1])}, {}, "inbound.require"),
    "certificate to network": (
        {"inbound": inb("certificate", keys=[K1])},
        {"inbound": inb("network", "192.0.2.0/28")},
        "inbound.require",
    ),
    "network to certificate": (
        {"inbound": inb("network", "192.0.2.0/28")},
        {"inbound": inb("certificate", "192.0.2.0/28", keys=[K1])},
        "inbound.require",
    ),
    "a client pin more": (
        {"inbound": inb("certificate", keys=[K1])},
        {"inbound": inb("certificate", keys=[K1, K2])},
        "inbound.public_keys",
    ),
    "a wider network": (
        {"inbound": inb("network", "192.0.2.0/28")},
        {"inbound": inb("network", "192.0.2.0/27")},
        "inbound.networks",
    ),
    "a network more": (
        {"inbound": inb("network", "192.0.2.0/28")},
        {"inbound": inb("network", "192.0.2.0/28", "198.51.100.0/24")},
        "inbound.networks",
    ),
    "a network of the other family": (
        {"inbound": inb("network", "192.0.2.0/28")},
        {"inbound": inb("network", "192.0.2.0/28", "2001:db8::/48")},
        "inbound.networks",
    ),
    "bounces of fewer networks need TLS": (
        {"inbound": inb("tls", "192.0.2.0/28")},
        {},
        "inbound.networks",
    ),
    "back to observe": ({}, {"mode": Mode.OBSERVE}, "mode"),
    "older encryption is enough": ({}, {"tls": Strength.COMPATIBLE}, "tls"),
    "exception opened": (
        {},
        {"exceptions": (until(1),)},
        "exceptions.outbound.encrypted",
    ),
    "exception prolonged": (
        {"exceptions": (until(1),)},
        {"exceptions": (until(2),)},
        "exceptions.outbound.encrypted",
    ),
    "exception loosened": (
        {"exceptions": (until(1),)},
        {"exceptions": (until(1, "plaintext"),)},
        "exceptions.outbound.plaintext",
    ),
    "exception of the other direction": (
        {"exceptions": (until(9),)},
        {"exceptions": (until(9), until(1, "encrypted", "inbound"))},
        "exceptions.inbound.encrypted",
    ),
    "a second exception that lasts longer": (
        {"exceptions": (until(2),)},
        {"exceptions": (until(2), until(3))},
        "exceptions.outbound.encrypted",
    ),
}


@pytest.mark.parametrize(("before", "after", "aspect"), WEAKER.values(), ids=WEAKER)
def test_what_is_not_provably_as_strict_is_weaker(
    before: dict[str, object], after: dict[str, object], aspect: str
) -> None:
    old, new = replace(ACME, **before), replace(ACME, **after)  # type: ignore[arg-type]
    assert set(reported([old], [new])) == set(both(aspect))
    # The same in a record that moved to another file, with another name and beside others.
    moved = replace(new, name="Acme Group", file="partners/z.yaml")
    assert set(reported([old, BETA], [BETA, moved])) == set(both(aspect))


def test_what_is_stricter_one_way_hides_nothing_that_is_weaker_the_other_way() -> None:
    old = replace(ACME, mode=Mode.OBSERVE, outbound=out("pkix", "mx.acme.example"))
    new = replace(ACME, outbound=out("pkix", ".acme.example"), inbound=inb("tls", "192.0.2.0/28"))
    assert set(reported([old], [new])) == set(both("outbound.mx"))


STRICTER = {
    "fewer names": (
        {"outbound": out("pkix", "mx1.acme.example", "mx2.acme.example")},
        {"outbound": out("pkix", "mx1.acme.example")},
    ),
    "a name below a pattern": (
        {"outbound": out("pkix", ".acme.example")},
        {"outbound": out("pkix", "a.b.acme.example", ".mail.acme.example")},
    ),
    "one of two pins": (
        {"outbound": out("pin", keys=[K1, K2])},
        {"outbound": out("pin", keys=[K2])},
    ),
    "one of two CAs": (
        {"outbound": Outbound(Verify.PRIVATE_CA, ca=CA_1 + CA_2)},
        {"outbound": Outbound(Verify.PRIVATE_CA, ca=CA_2)},
    ),
    "tls to network": ({}, {"inbound": inb("network", "192.0.2.0/28")}),
    "tls to certificate": ({}, {"inbound": inb("certificate", keys=[K1])}),
    "a narrower network": (
        {"inbound": inb("network", "192.0.2.0/28")},
        {"inbound": inb("network", "192.0.2.8/29")},
    ),
    "two halves of a network": (
        {"inbound": inb("network", "192.0.2.0/29", "192.0.2.8/29")},
        {"inbound": inb("network", "192.0.2.0/28")},
    ),
    "bounces of more networks need TLS": ({}, {"inbound": inb("tls", "192.0.2.0/28")}),
    "enforced at last": ({"mode": Mode.OBSERVE}, {}),
    "only strong encryption": ({"tls": Strength.COMPATIBLE}, {}),
    "exception ended": ({"exceptions": (until(1),)}, {}),
    "exception shortened": ({"exceptions": (until(2),)}, {"exceptions": (until(1),)}),
    "exception tightened": (
        {"exceptions": (until(2, "plaintext"),)},
        {"exceptions": (until(2),)},
    ),
    "a shorter exception within a longer one": (
        {"exceptions": (until(9, "plaintext"),)},
        {"exceptions": (until(9, "plaintext"), until(3))},
    ),
    "labels": (
        {},
        {
            "name": "Acme AG",
            "contact": "it@acme.example",
            "review": date(2028, 1, 1),
            "agreed": date(2026, 11, 1),
            "file": "partners/other.yaml",
        },
    ),
}


@pytest.mark.parametrize(("before", "after"), STRICTER.values(), ids=STRICTER)
def test_what_is_as_strict_is_not_weaker(
    before: dict[str, object], after: dict[str, object]
) -> None:
    old, new = replace(ACME, **before), replace(ACME, **after)  # type: ignore[arg-type]
    assert reported([old], [new]) == []


PARTS = ("parts.acme.example",)


@pytest.mark.parametrize(
    ("old", "new", "weaker"),
    [
        pytest.param([ACME], [], both("listed"), id="record removed"),
        pytest.param([], [ACME], [], id="record added"),
        pytest.param(
            [replace(ACME, domains=("a.example", "acme.example"))],
            [replace(ACME, domains=("a.example",))],
            both("listed"),
            id="domain dropped",
        ),
        pytest.param(
            [ACME],
            [replace(ACME, subdomains=False)],
            [(".acme.example", "listed")],
            id="subdomains off",
        ),
        pytest.param(
            [replace(ACME, domains=("acme.example", *PARTS))],
            [ACME],
            [],
            id="domain dropped that its parent covers as strictly",
        ),
        pytest.param(
            [replace(ACME, subdomains=False), replace(BETA, domains=PARTS, outbound=out("dane"))],
            [ACME],
            [
                (".parts.acme.example", "outbound.verify"),
                ("parts.acme.example", "outbound.verify"),
            ],
            id="domain swallowed by its parent's record",
        ),
        pytest.param(
            [ACME],
            [replace(ACME, subdomains=False), replace(BETA, domains=PARTS, mode=Mode.OBSERVE)],
            [
                (".acme.example", "listed"),
                (".parts.acme.example", "mode"),
                ("parts.acme.example", "mode"),
            ],
            id="subdomain moved to a weaker record",
        ),
        pytest.param(
            [ACME, replace(BETA, inbound=inb("tls"))],
            [replace(BETA, domains=("acme.example", "beta.example"), mode=Mode.OBSERVE)],
            [
                (".acme.example", "mode"),
                (".beta.example", "mode"),
                ("acme.example", "mode"),
                ("beta.example", "mode"),
            ],
            id="domain moved to a weaker partner",
        ),
        pytest.param(
            [ACME, BETA],
            [replace(ACME, domains=BETA.domains), replace(BETA, domains=ACME.domains)],
            [],
            id="two partners change places, with the same rule",
        ),
        pytest.param(
            [ACME, replace(BETA, outbound=out("dane"))],
            [replace(ACME, domains=BETA.domains), replace(ACME, name="Beta", outbound=out("dane"))],
            [
                (".acme.example", "outbound.verify"),
                ("acme.example", "outbound.verify"),
                (".beta.example", "outbound.verify"),
                ("beta.example", "outbound.verify"),
            ],
            id="two partners change places, each with its own rule",
        ),
        pytest.param(
            [replace(ACME, outbound=out("pkix", ".acme.example"))],
            [ACME],
            [("acme.example", "outbound.mx")],
            id="a pattern becomes the domain's own name, which it did not accept",
        ),
        pytest.param(
            [ACME],
            [replace(ACME, outbound=out("pkix", "acme.example", ".acme.example"))],
            [(".acme.example", "outbound.mx")],
            id="the parent's servers for every subdomain",
        ),
    ],
)
def test_rules_are_compared_domain_by_domain(
    old: list[Partner], new: list[Partner], weaker: list[tuple[str, str]]
) -> None:
    assert sorted(reported(old, new)) == sorted(weaker)


def test_an_unknown_part_of_the_record_is_weaker_when_it_differs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(strength, "_OTHER_INBOUND", ("require",))
    (different, *_) = compare(
        "acme.example", ACME, replace(ACME, inbound=inb("network", "192.0.2.0/28"))
    )
    assert (different.aspect, different.weaker) == ("inbound.require", True)


def test_every_part_of_the_record_is_compared() -> None:
    assert strength._OTHER_PARTNER == strength._OTHER_EXCEPTION == ()
    assert strength._OTHER_OUTBOUND == strength._OTHER_INBOUND == ()


def test_the_digest_is_of_exactly_this_weakening() -> None:
    new = replace(ACME, outbound=out("pin", keys=[K1]))
    found = weakenings([ACME, BETA], [new, BETA])
    digest = weakening_digest(found)
    assert len(digest) == 64
    assert weakening_digest(reversed(found)) == digest
    assert weakened_partners(found) == ("Acme",)
    # Other changes in the same pull request do not change the digest.
    assert (
        weakening_digest(weakenings([ACME], [new, replace(BETA, contact="x@y.example")])) == digest
    )
    others = [
        weakenings([ACME], [replace(new, outbound=out("pin", keys=[K2]))]),
        weakenings([ACME], [replace(new, mode=Mode.OBSERVE)]),
        weakenings([ACME], [replace(new, tls=Strength.COMPATIBLE)]),
        weakenings([ACME, BETA], [new]),
        weakenings([replace(ACME, subdomains=False)], [replace(new, subdomains=False)]),
    ]
    digests = {weakening_digest(other) for other in others}
    assert len(digests) == len(others)
    assert digest not in digests
    assert weakening_digest(()) == ""


def test_labels_are_reported_and_a_moved_domain_too() -> None:
    changes = diff_lists(
        [ACME, BETA],
        [replace(ACME, contact="a@b.example", file="x/acme.yaml"), replace(BETA, name="Gamma")],
    )
    assert [(one.old and one.old.name, one.labels) for one in changes.partners] == [
        ("Acme", ("contact",)),
        ("Beta", ("name",)),
    ]
    assert changes.domains == ()
    swapped = diff_lists(
        [ACME, BETA], [replace(ACME, domains=BETA.domains), replace(BETA, domains=ACME.domains)]
    )
    assert {one.key for one in swapped.domains if one.moved} == {
        "acme.example",
        ".acme.example",
        "beta.example",
        ".beta.example",
    }
