"""RFC 7672: which chains satisfy which TLSA records."""

from __future__ import annotations

import hashlib

import dns.rdata
import pytest
from dns.rdtypes.ANY.TLSA import TLSA

from tests.unit.probe.probe_pki import DAY, NOW, Issued, intermediate, issue
from tlsgate.dns.tlsa import matching_record

NAMES = ("mx.d.example", "d.example")
ROOT = issue(("Root",), ca=True)
MIDDLE = intermediate(ROOT, "Middle")
LEAF = issue(("mx.d.example",), MIDDLE)
OTHER = issue(("mx.d.example",))


def record(usage: int, selector: int, mtype: int, of: Issued) -> TLSA:
    data = of.der if selector == 0 else of.spki
    digest = {0: data, 1: hashlib.sha256(data).digest(), 2: hashlib.sha512(data).digest()}[mtype]
    made = dns.rdata.from_text("IN", "TLSA", f"{usage} {selector} {mtype} {digest.hex()}")
    assert isinstance(made, TLSA)
    return made


def signed_by_nobody() -> Issued:
    """A leaf that claims MIDDLE as its issuer, signed by somebody else of that name."""
    impostor = intermediate(issue(("Root",), ca=True), "Middle")
    forged = issue(("mx.d.example",), impostor)
    return Issued(forged.certificate, forged.key, LEAF.above)


@pytest.mark.parametrize(
    ("leaf", "usage", "selector", "mtype", "of", "matches"),
    [
        *((LEAF, 3, selector, mtype, LEAF, True) for selector in (0, 1) for mtype in (0, 1, 2)),
        (LEAF, 3, 1, 1, OTHER, False),
        # DANE-EE compares the leaf alone, and needs neither names nor dates.
        (LEAF, 3, 1, 1, MIDDLE, False),
        (issue(("other.example",), ends=NOW - DAY), 3, 1, 1, None, True),
        # DANE-TA: the anchor above the leaf, the chain, the name and the dates.
        (LEAF, 2, 0, 1, MIDDLE, True),
        (LEAF, 2, 1, 1, ROOT, True),
        (LEAF, 2, 1, 1, LEAF, False),
        (issue(("d.example",), MIDDLE), 2, 1, 1, MIDDLE, True),
        (issue(("other.example",), MIDDLE), 2, 1, 1, MIDDLE, False),
        (issue(("mx.d.example",), MIDDLE, ends=NOW - DAY), 2, 1, 1, MIDDLE, False),
        (issue(("mx.d.example",), MIDDLE, starts=NOW + DAY), 2, 1, 1, MIDDLE, False),
        (signed_by_nobody(), 2, 1, 1, MIDDLE, False),
        (Issued(LEAF.certificate, LEAF.key), 2, 1, 1, MIDDLE, False),
        # An anchor that is not sent can be in the record itself.
        (issue(("mx.d.example",), ROOT), 2, 0, 0, ROOT, True),
    ],
)
def test_records(
    *, leaf: Issued, usage: int, selector: int, mtype: int, of: Issued | None, matches: bool
) -> None:
    wanted = record(usage, selector, mtype, of or leaf)
    chain = (*leaf.chain, ROOT.der) if leaf.above and of is ROOT else leaf.chain
    assert (matching_record(chain, [wanted], NAMES, NOW) is not None) is matches


def test_a_leaf_below_a_certificate_that_is_no_ca() -> None:
    no_ca = issue(("Middle",), ROOT)
    leaf = issue(("mx.d.example",), no_ca)
    chain = (leaf.der, no_ca.der)
    assert matching_record(chain, [record(2, 1, 1, no_ca)], NAMES, NOW) is None


def test_one_matching_record_is_enough_and_garbage_is_none() -> None:
    records = [record(3, 1, 1, OTHER), record(3, 1, 1, LEAF)]
    assert matching_record(LEAF.chain, records, NAMES, NOW) is records[1]
    assert matching_record((b"garbage",), records, NAMES, NOW) is None
    assert matching_record((), records, NAMES, NOW) is None
