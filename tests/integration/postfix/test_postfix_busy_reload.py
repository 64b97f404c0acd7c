"""Whoever connects all the time does not keep port 25 silent after a reload."""

from __future__ import annotations

import smtplib
import threading
from contextlib import suppress

import pytest

from tests.integration.postfix.pki import new_key
from tests.integration.postfix.world import HOST, World, partner, until

pytestmark = pytest.mark.integration

SESSION = ("MAIL FROM:<a@b.example>", "RCPT TO:<x@corp.example>", "DATA")


class Crowd:
    """Sessions that stop in the middle of a message, one after the other, on and on."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._stop = threading.Event()
        self._held: list[smtplib.SMTP] = []
        self._threads = [threading.Thread(target=self._come) for _ in range(4)]

    def begin(self) -> None:
        """From now on."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Nobody comes any more; who is there stays."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def leave(self) -> None:
        """All of them."""
        for session in self._held:
            session.close()

    def _come(self) -> None:
        while not self._stop.wait(0.01) and len(self._held) < 100:
            with suppress(smtplib.SMTPException, OSError):
                session = smtplib.SMTP(self._address, 25, timeout=3)
                session.ehlo("client.example")
                for command in SESSION:
                    session.docmd(command)
                self._held.append(session)


@pytest.fixture(scope="module", autouse=True)
def gateway(world: World) -> None:
    key = new_key()
    world.put_certificate("1", key, world.authority.issue([HOST], key=key))
    world.deliver([partner("one")], recipients="any")
    world.start_gateway()
    until(lambda: len(world.events("generation")) == 2)


@pytest.mark.parametrize("number", range(2, 6))
def test_port_25_answers_after_a_reload(world: World, number: int) -> None:
    # As many idle processes as can be.
    idle = [world.session(tls=False) for _ in range(20)]
    for session in idle:
        session.close()
    crowd = Crowd(world.address(world.gateway))
    crowd.begin()
    key = new_key()
    reloads = world.log().count("reload -- version")
    world.put_certificate(str(number), key, world.authority.issue([HOST], key=key))
    until(lambda: world.log().count("reload -- version") > reloads)
    crowd.end()
    try:
        until(lambda: greeted(world), seconds=10, what="a greeting")
    finally:
        crowd.leave()


def greeted(world: World) -> bool:
    """Whether port 25 answers."""
    with suppress(smtplib.SMTPException, OSError):
        smtplib.SMTP(world.address(world.gateway), 25, timeout=2).close()
        return True
    return False
