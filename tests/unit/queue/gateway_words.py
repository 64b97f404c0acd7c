"""What Postfix 3.10.13 said: gateway.log, no-reuse.log and queue.jsonl of a gateway that held mail
for every reason, as Docker and `postqueue -j` gave it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from tlsgate.queue.attempts import Attempts
from tlsgate.queue.entries import HeldRecipient, read_queue

HERE = Path(__file__).parent
LOG, NO_REUSE = (
    (HERE / name).read_text("utf-8").splitlines() for name in ("gateway.log", "no-reuse.log")
)
QUEUE = (HERE / "queue.jsonl").read_text("utf-8").splitlines()
ARRIVED = datetime(2026, 11, 27, 16, 51, 31, tzinfo=UTC)


def held_mail() -> list[HeldRecipient]:
    return list(read_queue(QUEUE))


def one(
    recipient: str = "a@acme.example",
    said: str = "",
    *,
    number: str = "84955CA4FE",
    queue: str = "deferred",
    sender: str = "sender@corp.example",
    arrived: datetime = ARRIVED,
) -> HeldRecipient:
    return HeldRecipient(number, queue, arrived, sender, recipient, said)


def fed(held: Iterable[HeldRecipient], lines: Iterable[str]) -> Attempts:
    attempts = Attempts(held)
    for line in lines:
        attempts.feed(line)
    return attempts
