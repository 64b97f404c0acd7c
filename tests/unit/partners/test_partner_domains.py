import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlsgate.partners.domains import domain_fault, host_fault, is_public_suffix, is_within


@pytest.mark.parametrize(
    "name",
    [
        "acme.example",
        "parts.acme.example",
        "acme.co.uk",
        "xn--bcher-kva.example",
        "xn--fiq228c.xn--fiqs8s",
        "1und1.de",
        "a--b.example",
        "x.github.io",
        f"{'a' * 63}.example",
    ],
)
def test_canonical_domains_pass(name: str) -> None:
    assert domain_fault(name) is None


@pytest.mark.parametrize(
    ("name", "message", "remedy"),
    [
        ("", "is empty", "such as acme.example"),
        ("Bücher.example", "not in its canonical form", "Write xn--bcher-kva.example"),
        ("faß.de", "not in its canonical form", "Write xn--fa-hia.de"),
        ("☃.example", "not a valid international domain name", "A-label"),
        ("xn--a.example", "not a valid international domain name", "A-label"),
        ("xn--BCHER-KVA.example", "upper-case", "Write xn--bcher-kva.example"),
        ("ACME.Example", "upper-case", "Write acme.example"),
        ("acme.example.", "ends with a dot", "Write acme.example"),
        (".acme.example", "starts with a dot", "Write acme.example"),
        ("*.acme.example", "wildcard", "Write acme.example; `subdomains: true`"),
        ("info@acme.example", "is an address", "Write acme.example"),
        ("https://acme.example/", "has a slash", "such as acme.example"),
        ("192.0.2.7", "is an IP address", "inbound.networks"),
        ("[192.0.2.7]", "is an IP address", "inbound.networks"),
        ("2001:db8::7", "is an IP address", "inbound.networks"),
        ("192.0.2.0/24", "is an IP address", "inbound.networks"),
        ("acme", "has no dot", "the whole domain"),
        ("com", "has no dot", "the whole domain"),
        ("co.uk", "public suffix", "itself registered"),
        ("github.io", "public suffix", "itself registered"),
        ("xn--55qx5d.cn", "public suffix", "itself registered"),
        ("acme..example", "not a domain name", "labels"),
        ("-acme.example", "not a domain name", "labels"),
        ("ac_me.example", "not a domain name", "labels"),
        ("acme.123", "not a domain name", "labels"),
        (f"{'a' * 64}.example", "not a domain name", "labels"),
        (f"{'a.' * 130}example", "longer than 253", "DNS"),
        ("acme .example", "white space", "one domain"),
        ("acme.example, b.example", "white space", "one domain"),
    ],
)
def test_a_domain_that_is_not_canonical_is_refused_with_what_to_write(
    name: str, message: str, remedy: str
) -> None:
    fault = domain_fault(name)
    assert fault is not None
    assert message in fault[0]
    assert remedy in fault[1]


def test_a_host_may_be_a_public_suffix() -> None:
    assert host_fault("co.uk") is None
    assert is_public_suffix("co.uk")
    assert not is_public_suffix("acme.co.uk")
    assert is_public_suffix("unheardof")


@pytest.mark.parametrize(
    ("name", "domain", "within"),
    [
        ("acme.example", "acme.example", True),
        ("mx.acme.example", "acme.example", True),
        ("notacme.example", "acme.example", False),
        ("acme.example", "mx.acme.example", False),
    ],
)
def test_is_within(name: str, domain: str, within: bool) -> None:
    assert is_within(name, domain) is within


@given(st.text())
def test_any_string_is_checked_and_every_remedy_is_printable(name: str) -> None:
    fault = domain_fault(name)
    if fault is None:
        assert name == name.lower().strip(".") and name.isascii() and "." in name
    else:
        assert all(part and part.isprintable() for part in fault)
