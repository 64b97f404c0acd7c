"""Asks the running helper about the MTA-STS policies of other domains: how many it has, and faults.

`python3 -m tlsgate.policy status` prints it as one line of JSON: what `StsPolicies.status` of
tlsgate.mta_sts.policies returns. Counts are since the helper started. Only the standard library, as
the health check.
"""

from __future__ import annotations

import json
import socket
from typing import Any

from tlsgate.policy.contract import OUTBOUND_PORT
from tlsgate.policy.health import TIMEOUT_SECONDS

QUESTION = b"7:status ,"


def ask() -> dict[str, Any]:
    """The helper's status. Raises OSError, ValueError."""
    with socket.create_connection(("127.0.0.1", OUTBOUND_PORT), TIMEOUT_SECONDS) as connection:
        connection.sendall(QUESTION)
        connection.shutdown(socket.SHUT_WR)
        reply = b""
        while part := connection.recv(4096):
            reply += part
    text = reply.partition(b":")[2].removesuffix(b",")
    if not text.startswith(b"OK "):
        raise ValueError(f"the helper answered {reply[:80]!r}")
    return dict(json.loads(text.removeprefix(b"OK ")))
