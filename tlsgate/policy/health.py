"""The container's health check: both services answer, from the partner rules that are in force.

Only the standard library, so it is quick. Before the first delivery of a partner list the helper
counts as healthy. If it does not load a list that was delivered, it is unhealthy: mail waits then.

The watchdog asks less: whether both services answer at all. A helper that cannot load a new list
would lose the previous one by a restart, and gain nothing. Neither question depends on DNS.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from tlsgate.policy.contract import INBOUND_PORT, OUTBOUND_PORT, PARTNERS, RULES, digest_of

TIMEOUT_SECONDS = 3.0
OUTBOUND = (OUTBOUND_PORT, b"16:health localhost,", b"9:NOTFOUND ,", b",")
INBOUND = (
    INBOUND_PORT,
    # As of an observed partner under rules that nobody has: answered, not counted, not logged.
    b"request=smtpd_access_policy\nsender=\nclient_address=127.0.0.1\n"
    b"encryption_protocol=TLSv1.3\npolicy_context=observe-inbound-health\n\n",
    b"action=",
    b"\n\n",
)

Question = tuple[int, bytes, bytes, bytes]


def check() -> int:
    """0 if both services answer, else 1 with the reason on standard error."""
    rules = Path(os.environ.get("TLSGATE_CONFIG", "/config")) / "current" / RULES
    questions: list[Question] = [OUTBOUND, INBOUND]
    try:
        if rules.exists():
            questions.append(_about(rules.read_bytes()))
    except OSError as fault:
        print(f"the partner rules cannot be read: {fault}", file=sys.stderr)
        return 1
    return _answered(questions)


def alive() -> int:
    """0 if both services answer, whatever the rules; else 1 with the reason on standard error."""
    return _answered([OUTBOUND, INBOUND])


def _answered(questions: list[Question]) -> int:
    for port, question, expected, end in questions:
        try:
            reply = _ask(port, question, end)
        except OSError as fault:
            print(f"port {port} does not answer: {fault}", file=sys.stderr)
            return 1
        if not reply.startswith(expected):
            print(f"port {port} answers {reply[:80]!r}, not {expected!r}", file=sys.stderr)
            return 1
    return 0


def _about(rules: bytes) -> Question:
    """Asks the map of these rules; the helper that has them finds no such partner."""
    text = f"{PARTNERS}{digest_of(rules)} health"
    return OUTBOUND[0], f"{len(text)}:{text},".encode(), b"9:NOTFOUND ,", b","


def _ask(port: int, question: bytes, end: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) as connection:
        connection.sendall(question)
        reply = b""
        while not reply.endswith(end):
            part = connection.recv(4096)
            if not part:
                break
            reply += part
    return reply
