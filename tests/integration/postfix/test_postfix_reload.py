"""After the wait for a change it is active, however long Postfix takes to reload."""

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

    The tests stop the master process, so nobody handles the reports of the other processes. With
    mail in delivery the gateway would soon block completely.
    """
    key = new_key()
    world.put_certificate("1", key, world.authority.issue([HOST], key=key))
    world.deliver([partner("one")])
    world.start_gateway()


def test_a_connection_accepted_during_a_reload_blocks_no_others(world: World) -> None:
    until(lambda: len(world.events("generation")) == 2)
    with world.session(tls=False):
        pass  # leaves an idle process, which accepts the next connection
    world.gateway.kill("STOP")
    try:
        held = socket.create_connection((world.address(world.gateway), 25), timeout=30)
        until(lambda: _accepted(world), what="the acceptance of the connection")
        # The master process closes the pipe with the report in it, unread.
        world.gateway.kill("HUP")
    finally:
        world.gateway.kill("CONT")
    with held:
        assert held.recv(100).startswith(b"220 ")
        # The connection waits until the watcher ends the process that the master does not count.
        with world.session(tls=False) as other:
            assert other.noop()[0] == 250
        assert held.recv(100) == b""


def _accepted(world: World) -> bool:
    """Whether no connection to port 25 waits for a process (proc_net_tcp(5))."""
    text = world.run("cat", "/proc/net/tcp")[1]
    return bool(re.search(r": 00000000:0019 00000000:0000 0A 00000000:00000000 ", text))


def test_a_policy_is_active_after_the_reload(world: World) -> None:
    # The first reload, at the start, is over: it ends the previous processes.
    until(lambda: len(world.events("generation")) == 2)
    # Now there is one process of each kind, which handles the next message without the master.
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
