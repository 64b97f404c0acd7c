"""The account: lost, deactivated, with another contact, with another key."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.memory_ca import Call, Reply, problem
from tests.support.memory_world import Router
from tests.unit.acme.acme_bench import (
    DAY,
    HOUR,
    NAMES,
    START,
    Capture,
    World,
    events,
    refused,
    served,
    wanted,
)
from tlsgate.acme.ca.account import Connector, account_uri
from tlsgate.acme.faults import AcmeFault


def folder(world: World) -> Path:
    return world.paths.account(world.ca.directory)


def renew(world: World) -> None:
    """An order, 61 days later."""
    world.time.now += 61 * DAY
    config = world.configure([NAMES])
    assert world.renewer().attempt(wanted(config)) is None


def connector(world: World) -> Connector:
    config = world.configure([NAMES])
    return Connector(config, folder(world), world.time, Router([world.ca]))


def test_an_account_that_the_ca_lost_is_registered_with_the_same_key(world: World) -> None:
    renew(world)
    key = (folder(world) / "key.pem").read_bytes()
    world.ca.keys.clear()
    renew(world)
    assert (folder(world) / "key.pem").read_bytes() == key
    assert account_uri(folder(world)) == f"{world.ca.base}/account/2"
    assert len(world.ca.issued) == 2


def test_a_deactivated_account_is_replaced_by_a_new_one(world: World, capsys: Capture) -> None:
    renew(world)
    key = (folder(world) / "key.pem").read_bytes()
    first = account_uri(folder(world))
    assert first is not None
    world.ca.accounts[first]["status"] = "deactivated"
    renew(world)
    assert account_uri(folder(world)) == f"{world.ca.base}/account/2"
    assert (folder(world) / "key.pem").read_bytes() != key
    assert (folder(world) / "key.pem.deactivated-1").read_bytes() == key
    alerts = events(capsys, "alert")
    assert [alert["what"] for alert in alerts] == [
        "the account at https://ca.example/dir was deactivated"
    ]
    assert f"{first} is deactivated" in alerts[0]["reason"]
    assert len(world.ca.issued) == 2

    # Once more, and with the file lost that says which account it was.
    second = account_uri(folder(world))
    assert second is not None
    (folder(world) / "account.json").unlink()
    world.ca.answer = lambda call: (
        problem(403, "unauthorized", "account is deactivated")
        if call.resource == "account" and world.ca.keys.get(call.account) == second
        else None
    )
    renew(world)
    assert account_uri(folder(world)) == f"{world.ca.base}/account/3"
    assert (folder(world) / "key.pem.deactivated-2").exists()


def test_a_revoked_account_is_not_replaced(world: World) -> None:
    renew(world)
    first = account_uri(folder(world))
    assert first is not None
    world.ca.accounts[first]["status"] = "revoked"
    world.time.now += 61 * DAY
    fault = refused(world, wanted(world.configure([NAMES])))
    assert f"the account {first} is revoked at the CA" in fault.reason
    assert "move the account's directory" in fault.remedy
    assert len(world.ca.accounts) == 1


def test_an_account_that_went_while_the_agent_was_connected(world: World) -> None:
    """The connection is not trusted any more, and the order goes on within the same attempt."""
    world.configure([NAMES, ("c.example",)])
    first_seen: list[str] = []

    def answer(call: Call) -> Reply | None:
        if call.resource == "certificate" and not first_seen:
            first_seen.append(call.account)
            world.ca.accounts[call.account]["status"] = "deactivated"
        return None

    world.ca.answer = answer
    world.agent().look()
    assert [entry.names for entry in world.ca.issued] == [NAMES, ("c.example",)]
    assert len(world.ca.accounts) == 2


def test_the_contact_follows_the_configuration_without_an_order(
    world: World, capsys: Capture
) -> None:
    one = wanted(world.configure([NAMES], contact=["mailto:a@corp.example"]))
    assert world.renewer().attempt(one) is None
    (account,) = world.ca.accounts.values()
    assert account["contact"] == ["mailto:a@corp.example"]

    world.configure([NAMES], contact=["mailto:b@corp.example"])
    world.ca.answer = lambda call: (
        problem(400, "invalidContact", "no such address")
        if call.resource == "account" and call.rest
        else None
    )
    agent = world.agent()
    agent.look()
    agent.look()
    what = "the contact of the account at https://ca.example/dir could not be changed"
    assert [alert["what"] for alert in events(capsys, "alert")] == [what]

    world.ca.answer = lambda _call: None
    world.time.now += 6 * HOUR
    agent.look()
    assert account["contact"] == ["mailto:b@corp.example"]
    asked = world.ca.count("account")
    world.time.now += 6 * HOUR
    agent.look()
    assert world.ca.count("account") == asked
    assert len(world.ca.issued) == 1


def test_the_key_is_changed_and_orders_go_on(world: World) -> None:
    renew(world)
    key, uri = (folder(world) / "key.pem").read_bytes(), account_uri(folder(world))
    assert connector(world).change_key() == uri
    assert (folder(world) / "key.pem").read_bytes() != key
    assert not (folder(world) / "next-key.pem").exists()
    renew(world)
    assert list(world.ca.accounts) == [uri]
    assert served(world, wanted(world.configure([NAMES]))).id > f"{START:%Y%m%d}"


@pytest.mark.parametrize("done", [False, True])
def test_a_change_of_the_key_that_was_cut_short(world: World, done: bool) -> None:
    """Its answer is lost, before or after the CA made the change: the CA is asked."""
    renew(world)
    uri = account_uri(folder(world))
    key = (folder(world) / "key.pem").read_bytes()

    def answer(call: Call) -> Reply | None:
        if call.resource != "change":
            return None
        if done:
            world.ca.change_key(call)
        return Reply(502, "a proxy's words")

    world.ca.answer = answer
    with pytest.raises(AcmeFault, match="changing the account's key"):
        connector(world).change_key()
    assert (folder(world) / "key.pem").read_bytes() == key
    world.ca.answer = lambda _call: None
    renew(world)
    assert ((folder(world) / "key.pem").read_bytes() != key) is done
    assert not (folder(world) / "next-key.pem").exists()
    assert list(world.ca.accounts) == [uri]
    assert len(world.ca.issued) == 2


def test_an_agent_goes_on_with_a_key_that_a_person_changed(world: World) -> None:
    world.configure([NAMES, ("c.example",)])

    def answer(call: Call) -> Reply | None:
        if call.resource == "certificate" and call.rest == "1":
            world.ca.answer = lambda _call: None
            connector(world).change_key()
        return None

    world.ca.answer = answer
    world.configure([NAMES, ("c.example",)])
    world.agent().look()
    assert len(world.ca.issued) == 2
    assert len(world.ca.accounts) == 1
