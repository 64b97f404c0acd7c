"""Attacks from outside on a partner's mail: a flood of bounces, forged DNS, a bounce that leaks."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from lab import plan
from lab.cases import BOUNCED, FLOODED, FORGED_MX, FORGED_MX_FREE, AttackCase
from lab.driver import Lab, Message, message_text, new_token
from lab.trial import PAUSE, SECONDS, CaseResult

T = TypeVar("T")

BOUNCES = 110
"""More than the 100 processes that a Postfix service may have."""
OUTSIDER = "sts-free.example"
"""A forwarder's domain, which the demo's `tlsgate:internal.senders` allows."""


def run_attacks(lab: Lab) -> list[CaseResult]:
    """Try each attack; delete what the flood left in the queue."""
    return [_flood(lab), *_forged(lab), _bounce(lab)]


def _flood(lab: Lab) -> CaseResult:
    """Bounces use all processes that they may have; a partner's mail must not wait for them."""
    flood = {new_token(): "" for _ in range(BOUNCES)}
    lab.submit("internal", [_message(token, "", f"{token}@{plan.SILENT}") for token in flood])
    token = new_token()
    begun = time.monotonic()
    lab.send([(token, f"{token}@good.example", "")])
    mail = _until(lambda: lab.received("good", token))
    took = time.monotonic() - begun
    waiting = [one.queue_id for one in lab.queue() if one.recipient.endswith(f"@{plan.SILENT}")]
    lab.delete(waiting)
    fault = ""
    if mail is None:
        fault = "expected sent"
    elif len(waiting) < BOUNCES:
        fault = f"only {len(waiting)} of {BOUNCES} bounces were still waiting"
    said = f"after {took:.1f} s, with {len(waiting)} bounces waiting"
    return CaseResult(
        FLOODED, "sent" if mail else "held", mail.tls if mail else "", said, fault, token
    )


def _forged(lab: Lab) -> list[CaseResult]:
    """DNS alone is never a final reason to return mail to a partner (D19)."""
    tokens = {new_token(): FORGED_MX, new_token(): FORGED_MX_FREE}
    domains = {FORGED_MX: plan.FORGED, FORGED_MX_FREE: plan.FORGED_FREE}
    addresses = {token: f"{token}@{domains[case]}" for token, case in tokens.items()}
    begun = time.time()
    lab.send((token, address, "") for token, address in addresses.items())
    return [
        _result(case, *(_until(partial(_outcome, lab, addresses[token], begun)) or ("", "")), token)
        for token, case in tokens.items()
    ]


def _outcome(lab: Lab, address: str, begun: float) -> tuple[str, str] | None:
    """The result for a message and Postfix's reason; None while it is still in delivery."""
    reasons = {one.recipient: one.reason for one in lab.queue() if one.reason}
    if address in reasons:
        return "held", reasons[address]
    lines = lab.gateway_log(since=begun).splitlines()
    if any(f"to=<{address}>" in line and "status=bounced" in line for line in lines):
        return "returned", ""
    return None


def _bounce(lab: Lab) -> CaseResult:
    """A partner refuses a forwarder's message: what the bounce to its sender contains."""
    token = new_token()
    message = _message(token, f"{token}@{OUTSIDER}", f"{plan.NOBODY}-{token}@good.example")
    answer = lab.submit("internal", [message])[token]
    notice = _until(lambda: lab.received("sts", token))
    if notice is None:
        return CaseResult(BOUNCED, "no notice", "", answer.answer, "expected a notice", token)
    # The Message-ID is the only part of the message that may be in the bounce.
    leaked = [part for part in ("Subject: lab", f"token {token}") if part in notice.text]
    outcome = "with content" if leaked else "without content"
    fault = f"it contains {leaked[0]!r}" if leaked else ""
    if notice.tls == "none":
        fault = "it arrived in plaintext"
    return CaseResult(BOUNCED, outcome, notice.tls, "", fault, token)


def _message(token: str, sender: str, recipient: str) -> Message:
    """A message from the internal networks directly to the gateway."""
    return Message(
        id=token,
        server=plan.GATEWAY_ADDRESS,
        port=plan.GATEWAY_INTERNAL_PORT,
        sender=sender,
        recipient=recipient,
        text=message_text(sender or "MAILER-DAEMON@lab.example", recipient, token),
        tls="starttls",
    )


def _result(case: AttackCase, outcome: str, reason: str, token: str) -> CaseResult:
    return CaseResult(
        case,
        outcome,
        "",
        reason,
        "" if outcome == case.expected else f"expected {case.expected}",
        token,
    )


def _until(look: Callable[[], T]) -> T | None:
    """The first true value; None if there is none before the time-out."""
    deadline = time.monotonic() + SECONDS
    while not (found := look()):
        if time.monotonic() > deadline:
            return None
        time.sleep(PAUSE / 5)
    return found
