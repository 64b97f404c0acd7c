"""X509_check_host(3) as Postfix calls it: which certificate names satisfy which `match=`."""

from __future__ import annotations

import pytest

from tlsgate.certificates.names import accepted, described


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("acme.example", "acme.example", True),
        ("acme.example", "ACME.Example", True),
        ("acme.example", "mx.acme.example", False),
        ("acme.example", "notacme.example", False),
        (".acme.example", "mx.acme.example", True),
        (".acme.example", "a.b.acme.example", True),
        (".acme.example", "acme.example", False),
        (".acme.example", "notacme.example", False),
        (".acme.example", ".acme.example", False),
        # A star is one label, the first, and has two labels behind it.
        ("mx.acme.example", "*.acme.example", True),
        ("a.b.acme.example", "*.acme.example", False),
        ("acme.example", "*.acme.example", False),
        ("acme.example", "*.example", False),
        ("mx.acme.example", "m*.acme.example", False),
        ("mx.acme.example", "mx.*.example", False),
        ("mx.acme.example", "*", False),
        (".acme.example", "*.acme.example", True),
        (".acme.example", "*.mail.acme.example", True),
    ],
)
def test_matches(pattern: str, name: str, matches: bool) -> None:
    assert (accepted((pattern,), (name,)) is not None) is matches


def test_any_name_and_any_pattern_will_do() -> None:
    assert accepted(("a.example", ".b.example"), ("c.example", "mx.b.example")) == "mx.b.example"
    assert accepted((), ("a.example",)) is None
    assert accepted(("a.example",), ()) is None


def test_patterns_in_words() -> None:
    assert described(("a.example", ".a.example")) == "a.example or a name below a.example"
