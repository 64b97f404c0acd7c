"""What outsiders try against a partner's mail: fill the gateway, forge DNS, have a bounce leak."""

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
"""More than Postfix's 100 processes of a service."""
OUTSIDER = "sts-free.example"
"""Whom the demo's `tlsgate:internal.senders` lets the internal networks send as: a forwarder."""


def run_attacks(lab: Lab) -> list[CaseResult]:
    """Try each one; what a flood left in the queue is deleted."""
    return [_flood(lab), *_forged(lab), _bounce(lab)]


def _flood(lab: Lab) -> CaseResult:
    """Bounces take every process that they can have; a partner's mail does not wait for them."""
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
    """For a partner DNS alone is never final (D19)."""
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
    """What became of a message, and Postfix's reason; None while it is under way."""
    reasons = {one.recipient: one.reason for one in lab.queue() if one.reason}
    if address in reasons:
        return "held", reasons[address]
    lines = lab.gateway_log(since=begun).splitlines()
    if any(f"to=<{address}>" in line and "status=bounced" in line for line in lines):
        return "returned", ""
    return None


def _bounce(lab: Lab) -> CaseResult:
    """A forwarder's message to a partner who refuses it: what its sender gets back."""
    token = new_token()
    message = _message(token, f"{token}@{OUTSIDER}", f"{plan.NOBODY}-{token}@good.example")
    answer = lab.submit("internal", [message])[token]
    notice = _until(lambda: lab.received("sts", token))
    if notice is None:
        return CaseResult(BOUNCED, "no notice", "", answer.answer, "expected a notice", token)
    # Of the message only its Message-ID holds the token, once.
    leaked = [part for part in ("Subject: lab", f"token {token}") if part in notice.text]
    outcome = "with content" if leaked else "without content"
    fault = f"it holds {leaked[0]!r}" if leaked else ""
    if notice.tls == "none":
        fault = "it came in plaintext"
    return CaseResult(BOUNCED, outcome, notice.tls, "", fault, token)


def _message(token: str, sender: str, recipient: str) -> Message:
    """From the internal networks, straight to the gateway."""
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
    """The first true value, None if there is none in time."""
    deadline = time.monotonic() + SECONDS
    while not (found := look()):
        if time.monotonic() > deadline:
            return None
        time.sleep(PAUSE / 5)
    return found
