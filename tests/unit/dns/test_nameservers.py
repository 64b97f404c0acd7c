"""Which resolver is asked, and when its AD bit is believed."""

from __future__ import annotations

import asyncio

import pytest

from tlsgate.dns import nameservers as module
from tlsgate.dns.lookups import Answer
from tlsgate.dns.nameservers import Resolver, configured_resolver, lookups_of, named_resolver


@pytest.mark.parametrize(
    ("text", "resolver"),
    [
        ("192.0.2.1", Resolver(("192.0.2.1",))),
        ("192.0.2.1:5353", Resolver(("192.0.2.1",), 5353)),
        ("2001:db8::1", Resolver(("2001:db8::1",))),
        ("[2001:db8::1]:5353", Resolver(("2001:db8::1",), 5353)),
        ("[2001:db8::1]", Resolver(("2001:db8::1",))),
    ],
)
def test_named(text: str, resolver: Resolver) -> None:
    assert named_resolver(text) == resolver


@pytest.mark.parametrize("text", ["dns.example", "192.0.2", "192.0.2.1:", "192.0.2.1:0", "1:99999"])
def test_not_a_resolver(text: str) -> None:
    with pytest.raises(ValueError, match="not"):
        named_resolver(text)


@pytest.mark.parametrize(
    ("text", "resolver"),
    [
        ("", Resolver(("127.0.0.1",))),
        ("nameserver 127.0.0.53\n", Resolver(("127.0.0.53",))),
        ("# x\nnameserver 192.0.2.1\n", Resolver(("192.0.2.1",), trusted=False)),
        (
            "options edns0 trust-ad\nnameserver 192.0.2.1\nnameserver ::1\n",
            Resolver(("192.0.2.1", "::1")),
        ),
        ("nameserver 127.0.0.1\nnameserver 192.0.2.1\n",
         Resolver(("127.0.0.1", "192.0.2.1"), trusted=False)),
        ("nameserver fe80::1%eth0\nnameserver rubbish\n", Resolver(("fe80::1",), trusted=False)),
    ],
)  # fmt: skip
def test_configured(text: str, resolver: Resolver) -> None:
    assert configured_resolver(text) == resolver


@pytest.mark.parametrize("trusted", [True, False])
def test_only_a_trusted_resolver_makes_answers_secure(
    trusted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Secure:
        def __init__(self, addresses: list[str], port: int) -> None:
            assert (addresses, port) == (["192.0.2.1"], 53)

        async def ask(self, name: str, rdtype: str) -> Answer:
            return Answer((), True, name)

    monkeypatch.setattr(module, "Lookups", Secure)
    lookups = lookups_of(Resolver(("192.0.2.1",), trusted=trusted))
    assert asyncio.run(lookups.ask("d.example", "MX")).secure is trusted
