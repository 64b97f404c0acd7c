"""Runs cases in the lab, in parallel, and returns the result of each."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lab import plan
from lab.cases import AttackCase, InboundCase, OutageCase, OutboundCase
from lab.driver import Answer, Lab, Message, Queued, message_text, new_token

SECONDS = 60.0
"""How long a case may take to reach the expected result."""
PAUSE = 0.5
ACCEPTED = 250


Answered = dict[str, tuple[InboundCase, Answer]]


@dataclass(frozen=True, slots=True)
class CaseResult:
    """The result of one case. `fault` is empty if it is the expected one.

    `token`: identifies the message.
    """

    case: OutboundCase | InboundCase | OutageCase | AttackCase
    outcome: str
    tls: str
    reason: str
    fault: str
    token: str = ""


def run_outbound(
    lab: Lab, cases: Sequence[OutboundCase], seconds: float = SECONDS
) -> list[CaseResult]:
    """Send one message for each case; wait until all have the expected result or time is up."""
    tokens = {new_token(): case for case in cases}
    begun = time.time()
    lab.send((token, _recipient(token, case), case.header) for token, case in tokens.items())
    deadline = time.monotonic() + seconds
    while True:
        queue = {entry.recipient: entry for entry in lab.queue()}
        log = lab.gateway_log(since=begun)
        results = [_look(lab, case, token, queue, log) for token, case in tokens.items()]
        if not any(one.fault for one in results) or time.monotonic() > deadline:
            return results
        time.sleep(PAUSE)


def run_inbound(lab: Lab, cases: Sequence[InboundCase]) -> list[CaseResult]:
    """Send one message for each case to the gateway; accepted ones must reach their mailbox."""
    return judge_inbound(lab, submit_inbound(lab, cases))


def submit_inbound(lab: Lab, cases: Sequence[InboundCase]) -> Answered:
    """Send one message for each case to the gateway; returns token → case and answer."""
    tokens = {new_token(): case for case in cases}
    by_client: dict[str, list[Message]] = defaultdict(list)
    for token, case in tokens.items():
        by_client[case.via].append(_message(token, case))
    with ThreadPoolExecutor() as pool:
        parts = pool.map(lambda item: lab.submit(*item), by_client.items())
        answers = {token: answer for part in parts for token, answer in part.items()}
    return {token: (case, answers[token]) for token, case in tokens.items()}


def judge_inbound(lab: Lab, answered: Answered, seconds: float = SECONDS) -> list[CaseResult]:
    """Compare the answers, and wait until accepted messages are in their mailboxes."""
    deadline = time.monotonic() + seconds
    while True:
        results = [_judge(lab, *one, token) for token, one in answered.items()]
        if time.monotonic() > deadline or not _may_still_arrive(results):
            return results
        time.sleep(PAUSE)


def _may_still_arrive(results: Iterable[CaseResult]) -> bool:
    """Whether a result is wrong only because the message has not arrived yet."""
    return any(one.fault.startswith("accepted, but") for one in results)


def _recipient(token: str, case: OutboundCase) -> str:
    return f"{token}@{case.domain}"


def _look(
    lab: Lab, case: OutboundCase, token: str, queue: Mapping[str, Queued], log: str
) -> CaseResult:
    mail = lab.received(case.peer, token)
    waiting = queue.get(_recipient(token, case))
    in_clear = lab.captured(case.peer, token)
    if mail:
        outcome, tls, reason = "sent", mail.tls, ""
    else:
        outcome = "held" if waiting and waiting.reason else "under way"
        tls, reason = "", waiting.reason if waiting else ""
    fault = ""
    if outcome != case.expected:
        fault = f"expected {case.expected}"
    elif tls != case.tls:
        fault = f"expected {case.tls or 'no delivery'}"
    elif not re.search(case.reason, reason):
        fault = f"expected the reason to match {case.reason!r}"
    elif not re.search(case.log, log):
        fault = f"expected the gateway to log {case.log!r}"
    elif in_clear != (case.tls == "none"):
        fault = "the message was sent in clear text" if in_clear else "the capture is empty"
    return CaseResult(case, outcome, tls, reason, fault, token)


def _message(token: str, case: InboundCase) -> Message:
    to = f"{token}@{case.recipient_domain}"
    return Message(
        id=token,
        server=plan.GATEWAY_ADDRESS,
        port=case.port,
        sender=case.sender,
        recipient=to,
        text=message_text(case.sender or "MAILER-DAEMON@lab.example", to, token),
        tls="starttls" if case.tls else "none",
        chain=case.chain,
    )


def _judge(lab: Lab, case: InboundCase, answer: Answer, token: str) -> CaseResult:
    arrived = lab.received(case.mailbox, token) is not None
    fault = ""
    if answer.code != case.expected:
        fault = f"expected {case.expected}"
    elif not re.search(case.reason, answer.answer):
        fault = f"expected the answer to match {case.reason!r}"
    elif arrived and answer.code != ACCEPTED:
        fault = "refused, but in the mailbox"
    elif not arrived and answer.code == ACCEPTED:
        fault = "accepted, but not in the mailbox"
    reason = "" if answer.code == ACCEPTED else " ".join(answer.answer.split())
    return CaseResult(case, str(answer.code), answer.tls or "none", reason, fault, token)
