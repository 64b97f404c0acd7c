"""TLS connections are reused, but never for a stricter policy than the one at their opening.

Domains of different policies share one MX, whose certificate is for mx.one.example.
"""

from __future__ import annotations

import time

import pytest

from tests.integration.postfix.pki import new_key
from tests.integration.postfix.stream import stream
from tests.integration.postfix.world import HOST, World, partner, until
from tlsgate.partners.model import Outbound

pytestmark = pytest.mark.integration

ONE = partner("one")
OTHERS = [partner("two"), partner("strict", outbound=Outbound(mx=(".one.example", "x.example")))]


@pytest.fixture(scope="module", autouse=True)
def gateway(world: World) -> None:
    """Two partners on one MX, with different names; `free.example` is not a partner."""
    key = new_key()
    world.put_certificate("1", key, world.authority.issue([HOST], key=key))
    world.deliver([ONE, *OTHERS])
    world.start_gateway()


def _sessions(world: World, prefix: str, count: int) -> list[int]:
    """The sessions that `count` messages came in."""

    def look() -> list[int]:
        found = [m["session"] for m in world.received("shared") if f"<{prefix}" in m["mail"]]
        return found if len(found) == count else []

    return until(look, what=f"{count} deliveries to {prefix}")


def test_connections_are_reused(world: World) -> None:
    recipients = [f"reuse{number}@one.example" for number in range(40)]
    world.send(*recipients)
    sessions = _sessions(world, "reuse", 40)
    assert len(set(sessions)) < 40
    assert "connection established to mx.one.example" in world.log()
    assert "Verified TLS connection reused to mx.one.example" in world.log()


@pytest.mark.parametrize("weak", ["one", "free", "strict"])
def test_a_connection_is_used_only_for_its_own_policy(world: World, weak: str) -> None:
    """`two` accepts only names that the MX does not have; its mail is sent between others' mail."""
    recipients = [
        f"{weak}{number}@{domain}.example" for number in range(30) for domain in (weak, "two")
    ]
    world.send(*recipients)
    until(lambda: all(map(world.deliveries, recipients)), what="every delivery")
    arrived = [m["mail"] for m in world.received("shared") if f"<{weak}" in m["mail"]]
    assert not [mail for mail in arrived if "two.example" in mail]
    assert {world.outcome(r).status for r in recipients if "two" in r} == {"deferred"}
    assert {world.outcome(r).status for r in recipients if "two" not in r} == {"sent"}


def test_a_new_partner_gets_no_earlier_connection(world: World) -> None:
    world.send(*(f"before{number}@free.example" for number in range(30)))
    _sessions(world, "before", 30)
    world.switch([ONE, *OTHERS, partner("free")])
    world.send("after@free.example")
    assert world.outcome("after@free.example").status == "deferred"


def test_a_tightened_policy_gets_no_connection_of_the_looser_one(world: World) -> None:
    """Same domain, same level `secure`, other names: the policies differ only in `match`.

    Mail is sent all the time, so that connections of the looser policy are open at the switch.
    """
    world.switch([ONE, *OTHERS])
    with stream(world, lambda number: f"stream{number}@one.example", 0.01):
        until(lambda: "stream20@" in str(world.received("shared")))
        world.switch([partner("one", outbound=Outbound(mx=("other.example",))), *OTHERS])
        tight = [f"tight{number}@one.example" for number in range(20)]
        world.send(*tight)
    assert {world.outcome(recipient).status for recipient in tight} == {"deferred"}
    assert "<tight" not in str([mail["mail"] for mail in world.received("shared")])


def test_a_connection_of_an_old_delivery_is_not_reused_after_the_switch(world: World) -> None:
    """One of two servers is removed from the record while it answers a delivery slowly.

    That delivery continues with its connection; later mail must not use the connection.
    """
    world.switch([partner("twin", outbound=Outbound(mx=("mx.one.example", "mx.spare.example")))])
    sent: list[tuple[float, str]] = []

    def recipient(number: int) -> str:
        name = f"{'slow' if number % 10 == 9 else 'quick'}{number}@twin.example"
        sent.append((time.monotonic(), name))
        return name

    with stream(world, recipient, 0.02):
        until(lambda: str(world.received("shared")).count("<slow") > 5)
        world.switch([partner("twin", outbound=Outbound(mx=("mx.spare.example",)))])
        switched = time.monotonic()
        # Postfix tries its cache again after a second, and keeps a connection there for two.
        time.sleep(5)
    after = [name for when, name in sent if when > switched]
    until(lambda: all(map(world.deliveries, after)), what="every delivery")
    here = str(world.received("shared"))
    assert not [name for name in after if f"<{name}>" in here]
    # A delivery did try to cache its connection; otherwise the test would prove nothing.
    assert "warning: disabling connection caching" in world.log()
    _, sockets = world.run("ls", "/var/spool/postfix/private")
    caches = [name for name in sockets.split() if name.startswith("scache-")]
    _, digest = world.run("postconf", "-h", "tlsgate_generation")
    assert len(caches) > 1
    assert all(name.endswith(f"-{digest.strip()}") for name in caches)
