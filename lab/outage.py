"""Mail while a part of the gateway is stopped: it is held, and sent after the restart."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from lab.cases import InboundCase, OutageCase
from lab.driver import Lab, new_token
from lab.trial import PAUSE, SECONDS, CaseResult, judge_inbound, submit_inbound

LOOK_SECONDS = 5.0
"""A message that is wrongly sent would have arrived long before."""


def run_outage(
    lab: Lab, role: str, cases: Sequence[OutageCase], inbound: Sequence[InboundCase] = ()
) -> list[CaseResult]:
    """Stop one of the gateway's containers, send mail, check it, restart, and wait for delivery.

    `inbound`: mail to receive meanwhile; waiting for the policy helper takes half a minute.
    """
    tokens = {new_token(): case for case in cases if case.role == role}
    with stopped(lab, role), ThreadPoolExecutor(1) as pool:
        answering = pool.submit(submit_inbound, lab, inbound)
        lab.send((token, f"{token}@{case.domain}", "") for token, case in tokens.items())
        time.sleep(LOOK_SECONDS)
        queue = {entry.recipient: entry.reason for entry in lab.queue()}
        during = {token: _outcome(lab, case, token, queue) for token, case in tokens.items()}
        answered = answering.result()
    _flush_until_sent(lab, tokens)
    outbound = [
        _judge(lab, case, token, during[token], queue.get(f"{token}@{case.domain}", ""))
        for token, case in tokens.items()
    ]
    return outbound + judge_inbound(lab, answered)


@contextmanager
def stopped(lab: Lab, role: str) -> Iterator[None]:
    """Stop one of the gateway's containers during the block; it is always started again."""
    lab.stop_gateway(role)
    try:
        yield
    finally:
        lab.start_gateway(role)


def _outcome(lab: Lab, case: OutageCase, token: str, queue: dict[str, str]) -> str:
    if lab.received(case.peer, token):
        return "sent"
    return "held" if f"{token}@{case.domain}" in queue else "lost"


def _flush_until_sent(lab: Lab, tokens: dict[str, OutageCase]) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if all(lab.received(case.peer, token) for token, case in tokens.items()):
            return
        lab.flush()
        time.sleep(2 * PAUSE)


def _judge(lab: Lab, case: OutageCase, token: str, during: str, reason: str) -> CaseResult:
    mail = lab.received(case.peer, token)
    outcome = during if during == "sent" else f"{during}, then {'sent' if mail else 'not sent'}"
    expected = "sent" if case.expected == "sent" else "held, then sent"
    fault = "" if outcome == expected else f"expected {expected}"
    return CaseResult(case, outcome, mail.tls if mail else "", reason, fault)
