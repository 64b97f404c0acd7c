"""Whoever waited for a change finds it in force, however long Postfix takes to obey."""

from __future__ import annotations

import re
import socket
import threading

import pytest

from tests.integration.postfix.pki import new_key
from tests.integration.postfix.world import HOST, World, partner, until
from tlsgate.partners.model import Outbound

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", autouse=True)
def gateway(world: World) -> None:
    """A gateway with an empty queue.

    While the master process stands still, nobody takes note of what others do: a lively gateway
    would soon stand still altogether.
    """
    key = new_key()
    world.put_certificate("1", key, world.authority.issue([HOST], key=key))
    world.deliver([partner("one")])
    world.start_gateway()


def test_a_connection_taken_during_a_reload_keeps_nobody_out(world: World) -> None:
    until(lambda: len(world.events("generation")) == 2)
    with world.session(tls=False):
        pass  # leaves an idle process, which takes the next connection
    world.gateway.kill("STOP")
    try:
        held = socket.create_connection((world.address(world.gateway), 25), timeout=30)
        until(lambda: _accepted(world), what="the taking of the connection")
        # The master process closes the pipe with the report in it, unread.
        world.gateway.kill("HUP")
    finally:
        world.gateway.kill("CONT")
    with held:
        assert held.recv(100).startswith(b"220 ")
        # It waits for a process until the watcher has ended the one that nobody counts.
        with world.session(tls=False) as other:
            assert other.noop()[0] == 250
        assert held.recv(100) == b""


def _accepted(world: World) -> bool:
    """Whether no connection to port 25 waits for a process (proc_net_tcp(5))."""
    text = world.run("cat", "/proc/net/tcp")[1]
    return bool(re.search(r": 00000000:0019 00000000:0000 0A 00000000:00000000 ", text))


def test_a_policy_is_in_force_once_postfix_has_obeyed(world: World) -> None:
    # The first reload, of the start, is over: it ends the processes of before.
    until(lambda: len(world.events("generation")) == 2)
    # From here on one of each kind is there, and needs no master process for the next message.
    world.send("warm@one.example")
    assert world.outcome("warm@one.example").status == "sent"
    wake = threading.Timer(5, world.gateway.kill, ["CONT"])
    world.gateway.kill("STOP")
    wake.start()
    world.switch([partner("one", outbound=Outbound(mx=("other.example",)))])
    recipients = [f"after{number}@one.example" for number in range(20)]
    world.send(*recipients)
    wake.join()
    assert {world.outcome(recipient).status for recipient in recipients} == {"deferred"}
