"""The container's health check: both services answer. Only the standard library, so it is quick.

A partner list that has not been delivered yet is not ill health: the answer is a 451 then.
"""

from __future__ import annotations

import socket
import sys

TIMEOUT_SECONDS = 3.0
OUTBOUND = (8461, b"16:health localhost,", b"9:NOTFOUND ,", b",")
INBOUND = (
    10040,
    b"request=smtpd_access_policy\nsender=\nclient_address=127.0.0.1\n"
    b"encryption_protocol=TLSv1.3\n\n",
    b"action=",
    b"\n\n",
)


def check() -> int:
    """0 if both services answer, else 1 with the reason on standard error."""
    for port, question, expected, end in (OUTBOUND, INBOUND):
        try:
            reply = _ask(port, question, end)
        except OSError as fault:
            print(f"port {port} does not answer: {fault}", file=sys.stderr)
            return 1
        if not reply.startswith(expected):
            print(f"port {port} answers {reply[:80]!r}, not {expected!r}", file=sys.stderr)
            return 1
    return 0


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
