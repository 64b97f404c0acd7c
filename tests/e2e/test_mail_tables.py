"""Every cell of the design's two tables of mail, with real messages in the running lab.

All messages are sent at once; each test checks one. A held message must be in the gateway's queue,
in no mailbox, and in clear text in no capture: every peer captures the traffic of its port 25.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from lab import files, plan
from lab.cases import (
    InboundCase,
    OutageCase,
    OutboundCase,
    inbound_cases,
    outage_cases,
    outage_inbound_cases,
    outbound_cases,
)
from lab.driver import Lab
from lab.outage import run_outage
from lab.trial import CaseResult, run_inbound, run_outbound

pytestmark = pytest.mark.e2e

OUTBOUND = outbound_cases()
INBOUND = inbound_cases()
HELD = [case for case in OUTBOUND if case.expected == "held"]
IN_CLEAR = [case for case in OUTBOUND if case.tls == "none"]


@dataclass(frozen=True, slots=True)
class Run:
    """The results of all cases, and the queue, captures and mailboxes at the end."""

    outbound: Mapping[OutboundCase, CaseResult]
    inbound: Mapping[InboundCase, CaseResult]
    queued: frozenset[str]
    captures: Mapping[str, bytes]
    mailboxes: str


@pytest.fixture(scope="module")
def run(lab: Lab) -> Run:
    with ThreadPoolExecutor(2) as pool:
        outbound = pool.submit(run_outbound, lab, OUTBOUND)
        inbound = pool.submit(run_inbound, lab, INBOUND)
        seen = {one.case: one for one in outbound.result()}
        seen_in = {one.case: one for one in inbound.result()}
    mails = [path.read_text(errors="replace") for path in files.MAILBOXES.glob("*/new/*")]
    return Run(
        outbound={case: seen[case] for case in OUTBOUND},
        inbound={case: seen_in[case] for case in INBOUND},
        queued=frozenset(entry.recipient for entry in lab.queue() if entry.reason),
        captures={
            peer.name: (files.CAPTURES / f"{peer.name}.pcap").read_bytes() for peer in plan.PEERS
        },
        mailboxes="\n".join(mails),
    )


def _name(case: OutboundCase | InboundCase | OutageCase) -> str:
    if isinstance(case, InboundCase):
        return f"{case.via}: {case.title}, {'TLS' if case.tls else 'plaintext'}"
    return f"{case.peer}: {case.title}"


@pytest.mark.parametrize("case", OUTBOUND, ids=_name)
def test_outbound(run: Run, case: OutboundCase) -> None:
    seen = run.outbound[case]
    assert (seen.outcome, seen.fault) == (case.expected, "")


@pytest.mark.parametrize("case", HELD, ids=_name)
def test_held_mail_is_in_the_queue_and_nowhere_else(run: Run, case: OutboundCase) -> None:
    token = run.outbound[case].token
    assert f"{token}@{case.domain}" in run.queued
    assert token not in run.mailboxes
    assert [peer for peer, capture in run.captures.items() if token.encode() in capture] == []


@pytest.mark.parametrize("case", IN_CLEAR, ids=_name)
def test_a_capture_shows_plaintext_mail(run: Run, case: OutboundCase) -> None:
    """Without this the test above could not fail."""
    token = run.outbound[case].token
    assert token in run.mailboxes
    assert token.encode() in run.captures[case.peer]


@pytest.mark.parametrize("case", INBOUND, ids=_name)
def test_inbound(run: Run, case: InboundCase) -> None:
    seen = run.inbound[case]
    assert (seen.outcome, seen.fault) == (str(case.expected), "")


@pytest.fixture(scope="module")
def outages(lab: Lab) -> Mapping[OutageCase | InboundCase, CaseResult]:
    cases = outage_cases()
    seen = run_outage(lab, "policy", cases, outage_inbound_cases())
    seen += run_outage(lab, "resolver", cases)
    return {one.case: one for one in seen}  # type: ignore[misc]


@pytest.mark.parametrize("case", [*outage_cases(), *outage_inbound_cases()], ids=_name)
def test_mail_is_held_while_a_part_is_stopped(
    outages: Mapping[OutageCase | InboundCase, CaseResult], case: OutageCase | InboundCase
) -> None:
    assert outages[case].fault == "", outages[case]
