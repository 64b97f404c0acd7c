"""Senders on port 25 without a partner's domain: the null sender, and our own domains."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import docker
import pytest

from tests.integration.postfix.pki import new_key
from tests.integration.postfix.world import HOST, MODERN, World, partner, until
from tlsgate.partners.model import Allow, Direction, ExceptionRule, Inbound, Mode, Partner

pytestmark = pytest.mark.integration

OPEN = ExceptionRule(
    date(2099, 12, 30), Direction.INBOUND, Allow.PLAINTEXT, "late", "security@corp.example"
)
LISTS: dict[str, list[Partner]] = {
    "nobody": [],
    "elsewhere": [partner("far")],
    "MX": [partner("near"), partner("far")],
    "implicit MX": [partner("bare")],
    "observed MX": [partner("near", mode=Mode.OBSERVE)],
    "MX with an exception": [partner("near", exceptions=(OPEN,)), partner("far")],
    "shared MX with an exception": [partner("near", exceptions=(OPEN,)), partner("same")],
}
"""Relation of the tests' client to the partners of the list."""


@pytest.fixture(scope="module")
def world(client: docker.DockerClient, image: str, helper_image: str) -> Iterator[World]:
    """This machine is the mail host of `near`, `same` and `bare`; `far` has another."""
    made = World(client, image)
    try:
        made.add_peer("internal", MODERN, ["internal.example"], made.server_pem(["internal"]))
        made.network.reload()
        here = made.network.attrs["IPAM"]["Config"][0]["Gateway"]
        made.zone |= {
            "near.example": {"MX": ["mx.far.example", "mx.near.example"]},
            "same.example": {"MX": ["mx.near.example"]},
            "far.example": {"MX": ["mx.far.example"]},
            "bare.example": {"A": [here]},
            "mx.near.example": {"A": [here]},
            "mx.far.example": {"A": ["192.0.2.1"]},
        }
        made.add_names({}, {})
        key = new_key()
        made.put_certificate("1", key, made.authority.issue([HOST], key=key))
        made.deliver([], policy_host="helper")
        made.add_helper(helper_image)
        made.start_gateway()
        yield made
    finally:
        made.close()


def rcpt(world: World, sender: str, *, tls: bool, port: int = 25) -> tuple[int, bytes]:
    with world.session(port, tls=tls) as session:
        assert session.docmd(f"MAIL FROM:<{sender}>")[0] == 250
        return session.docmd("RCPT TO:<staff@corp.example>")


def set_helper(world: World, state: str) -> None:
    """`hung`: it is paused with its watchdog; it accepts connections and never answers."""
    helper = world.containers["helper"]
    helper.reload()
    if helper.status == "paused":
        helper.unpause()
    if state == "down":
        helper.kill("SIGKILL")
        return
    helper.start()
    until(world.helped, what="a healthy policy helper")
    if state == "hung":
        helper.pause()


def until_looked_up(world: World) -> None:
    """The helper knows the hosts of the list in force: before, nobody's bounce is let in."""
    until(
        lambda: b"not all known yet" not in rcpt(world, "", tls=False)[1],
        what="an end of the look-ups",
    )


@pytest.mark.parametrize(
    ("null_sender", "where", "up", "down"),
    [
        ("partners", "nobody", 250, 250),
        ("partners", "elsewhere", 250, 450),
        ("partners", "MX", 450, 450),
        ("partners", "implicit MX", 450, 450),
        ("partners", "observed MX", 250, 250),
        ("partners", "MX with an exception", 250, 450),
        ("partners", "shared MX with an exception", 450, 450),
        ("tls", "nobody", 450, 450),
        ("tls", "elsewhere", 450, 450),
        ("tls", "MX with an exception", 450, 450),
    ],
)
def test_the_null_sender(world: World, null_sender: str, where: str, up: int, down: int) -> None:
    world.switch(LISTS[where], policy_host="helper", null_sender=null_sender)
    until_looked_up(world)
    for state, expected in (("up", up), ("down", down)):
        set_helper(world, state)
        check(world, expected)
    set_helper(world, "up")


def check(world: World, expected: int) -> None:
    code, text = rcpt(world, "", tls=False)
    assert code == expected, text
    assert code == 250 or text.startswith(b"4.7.1 "), text
    assert rcpt(world, "", tls=True)[0] == 250
    # A sender with another domain is not affected.
    assert rcpt(world, "a@stranger.example", tls=False)[0] == 250


def test_a_hanging_helper_is_like_a_stopped_one(world: World) -> None:
    world.switch(LISTS["elsewhere"], policy_host="helper")
    until_looked_up(world)
    set_helper(world, "hung")
    check(world, 450)
    set_helper(world, "up")
    check(world, 250)


def test_the_null_sender_from_a_records_network_needs_no_helper(world: World) -> None:
    near = partner("far", inbound=Inbound(networks=(world.subnet(),)))
    world.switch([near], policy_host="nobody.example")
    assert rcpt(world, "", tls=False)[0] == 450
    assert rcpt(world, "", tls=True)[0] == 250


def test_looked_up_hosts_survive_a_resolver_failure_and_a_restart(world: World) -> None:
    world.switch(LISTS["MX"], policy_host="helper")
    until_looked_up(world)
    helper, names = world.containers["helper"], world.containers["policy"]
    names.pause()
    try:
        helper.restart(timeout=10)
        until(world.helped, what="a healthy policy helper")
        code, text = rcpt(world, "", tls=False)
        assert (code, text) == (450, b"4.7.1 <>: Sender address rejected: Near requires TLS")
    finally:
        names.unpause()


@pytest.mark.parametrize(
    ("own_senders", "sender", "port", "code"),
    [
        ("refuse", "a@corp.example", 25, 550),
        ("refuse", "a@BRAND.Example", 25, 550),
        ("refuse", "a@corp.example.", 25, 550),
        ("refuse", "nobody", 25, 504),
        ("refuse", "a@sub.corp.example", 25, 250),
        ("refuse", "a@corp.example", 2525, 250),
        ("accept", "a@corp.example", 25, 250),
    ],
)
def test_our_own_domains(world: World, own_senders: str, sender: str, port: int, code: int) -> None:
    world.switch([], policy_host="helper", own_senders=own_senders)
    for tls in (True,) if port == 2525 else (True, False):
        got, text = rcpt(world, sender, tls=tls, port=port)
        assert got == code, text
        assert code != 550 or text.startswith(b"5.7.1 ")
