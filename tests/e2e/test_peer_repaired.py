"""A held message is sent automatically after the peer's TLS is repaired, without a queue flush."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab import plan
from lab.driver import Lab, new_token
from tests.e2e.waiting import until

pytestmark = pytest.mark.e2e

PEERS = ("selfsigned", "plain", "stripped", "oldtls", "dane-broken")


@pytest.fixture(scope="module")
def held(lab: Lab) -> Iterator[Mapping[str, str]]:
    """Peer → token of a held message; all peers are repaired when this returns."""
    tokens = {peer: new_token() for peer in PEERS}
    recipients = {peer: f"{tokens[peer]}@{plan.BY_NAME[peer].domain}" for peer in PEERS}
    lab.send((tokens[peer], recipients[peer], "") for peer in PEERS)

    def all_held() -> bool:
        waiting = {entry.recipient for entry in lab.queue() if entry.reason}
        return waiting.issuperset(recipients.values())

    until(all_held, f"queue that holds {recipients}")
    assert not [peer for peer in PEERS if lab.received(peer, tokens[peer])]
    with ThreadPoolExecutor() as pool:
        try:
            list(pool.map(lab.repair, PEERS))
            yield tokens
        finally:
            list(pool.map(lab.undo_repair, PEERS))


@pytest.mark.parametrize("peer", PEERS)
def test_it_is_sent_over_tls(lab: Lab, held: Mapping[str, str], peer: str) -> None:
    token = held[peer]
    mail = until(lambda: lab.received(peer, token), f"mail at {peer}")
    assert mail.tls == "TLSv1.3"
    assert not lab.captured(peer, token)
