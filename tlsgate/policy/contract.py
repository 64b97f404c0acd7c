"""What Postfix's configuration (tlsgate.render) and the policy service must agree on.

Postfix asks the service on two ports, and says in each question which partner rules it means: by
the digest of the `partner_rules.json` that belongs to its own configuration.
"""

from __future__ import annotations

import hashlib

OUTBOUND_PORT = 8461
"""A socketmap (socketmap_table(5)): which TLS does this destination demand?"""
INBOUND_PORT = 10040
"""Policy delegation (SMTPD_POLICY_README): may this client send as this sender?"""

RULES = "partner_rules.json"
PARTS = ("outbound", "inbound", "observed", "null_senders")
"""The keys of the file; each holds a list of rules."""
DIGEST_LENGTH = 16
EXTRA_CA = "extra-ca.pem"
"""A file of the generation: roots trusted besides the system's."""

DESTINATIONS = "QUERY"
"""The socketmap of DANE and MTA-STS, for a transport whose default level is `dane`."""
NOTICES = "NOTICE"
"""The same for a transport whose default level is `secure`."""
PARTNERS = "partners-"
"""Before a digest: the socketmap of these partner rules."""

ENFORCE, OBSERVE_INBOUND, OBSERVE_OUTBOUND = "enforce", "observe-inbound", "observe-outbound"
NULL_SENDER = "null-sender"
"""What an inbound question is about: `policy_context` is one of these, a hyphen and a digest."""


def digest_of(content: bytes) -> str:
    """The name of the rules' content: 16 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()[:DIGEST_LENGTH]


def context(subject: str, digest: str) -> str:
    """`policy_context` of a question about `subject`."""
    return f"{subject}-{digest}"
