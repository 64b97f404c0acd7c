"""A connection that was opened under a weaker policy is never used for mail of a stricter one.

`selfsigned.example` is a partner, its twin is not, and both have the same MX: the twin's mail uses
unverified connections, and many of its messages share one. (More cases of the same,
with more policies: tests/integration/postfix/test_postfix_reuse.py; a policy that is tightened
while connections are open: test_partner_change.py.)
"""

from __future__ import annotations

import time

import pytest

from lab import files
from lab.driver import Lab, new_token
from tests.e2e.submission import submit
from tests.e2e.waiting import until

pytestmark = pytest.mark.e2e

PEERS = ("selfsigned",)
MESSAGES = 60
WEAK, STRICT = "selfsigned-free.example", "selfsigned.example"
REUSED = "Untrusted TLS connection reused to mx.selfsigned.example"


def test_two_domains_on_one_server_share_no_connection(lab: Lab) -> None:
    began = time.time()
    weak = [f"{new_token()}@{WEAK}" for _ in range(MESSAGES)]
    strict = [f"{new_token()}@{STRICT}" for _ in range(MESSAGES)]
    submit([to for pair in zip(weak, strict, strict=True) for to in pair])

    def all_settled() -> bool:
        waiting = {one.recipient for one in lab.queue() if one.reason}
        return waiting.issuperset(strict) and all(map(delivered, weak))

    until(all_settled, "end: the weak delivered, the strict held")
    assert not [to for to in strict if delivered(to)]
    # Messages to the weak domain did share connections; otherwise the test would prove nothing.
    assert REUSED in lab.gateway_log(since=began)


def delivered(recipient: str) -> bool:
    token = recipient.partition("@")[0]
    boxes = (files.MAILBOXES / "selfsigned" / "new").glob("*")
    return any(token in path.read_text(errors="replace") for path in boxes)
