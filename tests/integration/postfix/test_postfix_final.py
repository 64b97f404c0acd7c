"""Neither DNS alone nor an unverified server can cause a partner's mail to be returned (D19)."""

from __future__ import annotations

import pytest

from tests.integration.postfix.pki import new_key
from tests.integration.postfix.world import HOST, MODERN, NONE, World, partner, until

pytestmark = pytest.mark.integration

NAMES = ("nullmx", "nohost", "noaddress", "loop", "rude", "public")


@pytest.fixture(scope="module", autouse=True)
def gateway(world: World) -> None:
    """Each domain belongs to a partner; its twin `<name>free.example` does not."""
    key = new_key()
    world.put_certificate("1", key, world.authority.issue([HOST], key=key))
    world.add_peer("rude", NONE, ["rude.example"], greeting="554 no mail from you")
    # What an attacker on the path inserts into the plaintext part of the session.
    pem = world.server_pem(["mx.small.example"])
    world.add_peer("small", MODERN, ["small.example"], pem, before="SIZE 10")
    world.deliver([partner("one"), partner("small"), *map(partner, NAMES)])
    world.start_gateway()
    here = {"A": [world.address(world.gateway)]}
    zone: dict[str, dict[str, list[str]]] = {"mx.loop.example": here, "mx.noaddress.example": {}}
    for name in ("nullmx", "nullmxfree"):
        zone[f"{name}.example"] = {"MX": ["."]}
    for name, host in (("loop", "mx.loop"), ("noaddress", "mx.noaddress"), ("rude", "mx.rude")):
        zone[f"{name}.example"] = zone[f"{name}free.example"] = {"MX": [f"{host}.example"]}
    world.publish(zone)


@pytest.mark.parametrize("name", NAMES[:4])
def test_dns_alone_is_never_final_for_a_partner(world: World, name: str) -> None:
    world.send(f"a@{name}.example", f"a@{name}free.example")
    # Postfix by itself returns it at once; otherwise the test would prove nothing.
    assert world.outcome(f"a@{name}free.example").status == "bounced"
    held = world.outcome(f"a@{name}.example")
    assert (held.status, held.relay) == ("deferred", "none")
    code = f"to=<a@{name}.example>"
    assert "dsn=4." in next(line for line in world.log().splitlines() if code in line)


def test_an_unverified_servers_refusal_is_not_final(world: World) -> None:
    world.send("a@rude.example")
    assert world.outcome("a@rude.example").status == "deferred"


def test_the_verified_server_may_refuse(world: World) -> None:
    world.send("nosuch-z@one.example")
    refused = world.outcome("nosuch-z@one.example")
    assert refused.status == "bounced"
    assert "said: 550" in refused.text


def test_a_name_below_a_partners_domain_belongs_to_the_partner(world: World) -> None:
    world.send("a@nowhere.one.example")
    assert world.outcome("a@nowhere.one.example").status == "deferred"
    until(lambda: "postfix/partner/smtp" in world.log())


def test_a_size_limit_from_plaintext_returns_no_mail(world: World) -> None:
    world.send("a@small.example")
    assert world.outcome("a@small.example").status == "sent"
