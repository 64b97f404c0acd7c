"""DESIGN §5 as data: the expected result for each message. The demo and the tests run these cases.

A case is one message, in either direction. `expected` is what the gateway must do with it. `reason`
is a regular expression that must match the reason in the gateway's queue or in its SMTP answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from lab import plan
from lab.plan import Certificate, Tlsa, Transport

NO_TLS_HEADER = "TLS-Required: no"
"""RFC 8689, section 5: asks for delivery even without TLS. A partner's rule has priority."""

NOT_VERIFIED = r"Server certificate not (trusted|verified)"

MODERN = "TLSv1.3"
NONE = "none"

MailOutcome = Literal["sent", "held"]


@dataclass(frozen=True, slots=True)
class OutboundCase:
    """A message from the internal server to a domain of a peer.

    `tls`: the TLS version that the peer must report, `none` for plaintext, empty if the message is
    held. `reason`: matches the queue's reason for a held message. `log`: matches the gateway's log.
    """

    peer: str
    domain: str
    expected: MailOutcome
    tls: str = ""
    reason: str = ""
    log: str = ""
    header: str = ""

    @property
    def to_partner(self) -> bool:
        """Whether the domain is on the list."""
        return self.domain == plan.BY_NAME[self.peer].domain

    @property
    def title(self) -> str:
        """The text for the table: what kind of destination it is."""
        listed = "partner" if self.to_partner else "not listed"
        return f"{listed}, {self.header}" if self.header else listed


@dataclass(frozen=True, slots=True)
class InboundCase:
    """A message that a container of the lab sends to one of the gateway's listeners.

    `via`: the container. `chain`: the file in the container with its client key. `expected`: the
    SMTP code of the last answer, 250 for a message that must then be in a mailbox.
    """

    title: str
    via: str
    sender: str
    recipient_domain: str
    tls: bool
    expected: int
    reason: str = ""
    chain: str | None = None
    port: int = 25
    mailbox: str = "internal"


@dataclass(frozen=True, slots=True)
class OutageCase:
    """A message that is sent while one of the gateway's containers is stopped.

    `expected`: the result while it is stopped. A held message must be sent after the restart.
    """

    role: Literal["policy", "resolver"]
    peer: str
    domain: str
    expected: MailOutcome

    @property
    def title(self) -> str:
        """The text for the table: what kind of destination it is, and what is stopped."""
        listed = "partner" if self.domain == plan.BY_NAME[self.peer].domain else "not listed"
        return f"{listed}, {self.role} down"


@dataclass(frozen=True, slots=True)
class AttackCase:
    """An attack from outside and its expected result (`lab/attacks.py`)."""

    peer: str
    title: str
    expected: str


FLOODED = AttackCase("good", "partner, 110 bounces to a server that says nothing", "sent")
FORGED_MX = AttackCase("forged", "partner, forged DNS: takes no mail", "held")
FORGED_MX_FREE = AttackCase("forged", "not listed, forged DNS: takes no mail", "returned")
BOUNCED = AttackCase("sts", "bounce of a partner's mail to an outsider", "without content")


def outbound_cases() -> tuple[OutboundCase, ...]:
    """The cases of the first table, one for each cell."""
    cases = []
    for peer in plan.PEERS:
        reason = partner_reason(peer)
        listed = OutboundCase(peer.name, peer.domain, *_outcome(peer, reason))
        # Postfix's queue does not say that the policy excludes every host; its log does.
        log = f"does not match STS MX pattern for '{peer.free_domain}'" if peer.is_spoofed else ""
        free = OutboundCase(peer.name, peer.free_domain, *_outcome(peer, free_reason(peer)), log)
        cases += [listed, free]
        if reason:  # the header must not release held mail; where mail is sent it changes nothing
            cases += [_with_header(listed), _with_header(free)]
    return tuple(cases)


def partner_reason(peer: plan.Peer) -> str:
    """The reason why mail to the partner is held; empty if it is sent."""
    if peer.transport in {Transport.NO_TLS, Transport.STRIPPED}:
        return r"TLS is required, but was not offered by host"
    if peer.transport is Transport.OLD_TLS:
        return r"Cannot start TLS: handshake failure"
    if peer.tlsa is Tlsa.MATCHING:
        return ""
    trusted = peer.certificate is Certificate.PUBLIC and not peer.is_spoofed
    return "" if trusted else NOT_VERIFIED


def free_reason(peer: plan.Peer) -> str:
    """The reason why the twin's DANE or MTA-STS holds its mail; empty if it is sent."""
    if peer.is_spoofed:
        return r"server unavailable or unable to receive mail"
    by_sts = peer.free_domain in peer.sts and peer.certificate is not Certificate.PUBLIC
    return NOT_VERIFIED if by_sts or peer.tlsa is Tlsa.OTHER_KEY else ""


def inbound_cases() -> tuple[InboundCase, ...]:
    """The cases of the second table, one for each cell."""
    return (
        *_from("good", "partner, any client", "partner@good.example"),
        *_from("pinned", "partner, pinned key", "partner@pinned.example", "/config/client.pem"),
        _wrong("pinned", "partner, no client key", "partner@pinned.example", None),
        _wrong("pinned", "partner, other client key", "partner@pinned.example", OTHER_KEY),
        *_from("fixednet", "partner, its network", "partner@fixednet.example"),
        _wrong("good", "partner, other network", "partner@fixednet.example", None),
        *_from("fixednet", "<> from a partner's network", ""),
        InboundCase("anyone else, to us", "good", f"a@{plan.STRANGER}", OURS, False, 250),
        InboundCase("anyone else, to us", "good", f"a@{plan.STRANGER}", OURS, True, 250),
        InboundCase(
            "anyone, to foreign domains", "good", f"a@{plan.STRANGER}", plan.FOREIGN, False, 554,
            r"[Rr]elay access denied",
        ),
        InboundCase(
            "anyone, to foreign domains", "good", f"a@{plan.STRANGER}", plan.FOREIGN, True, 554,
            r"[Rr]elay access denied",
        ),
        InboundCase(
            "partner, to foreign domains", "good", "partner@good.example", plan.FOREIGN, True, 554,
            r"[Rr]elay access denied",
        ),
        InboundCase(
            "our server, to anywhere", "internal", "alice@corp.example", "good-free.example",
            False, 530, r"STARTTLS", port=plan.GATEWAY_INTERNAL_PORT, mailbox="good",
        ),
        InboundCase(
            "our server, to anywhere", "internal", "alice@corp.example", "good-free.example",
            True, 250, port=plan.GATEWAY_INTERNAL_PORT, mailbox="good",
        ),
        InboundCase(
            "our server, as somebody else", "internal", f"a@{plan.STRANGER}", "good-free.example",
            True, 550, r"internal\.senders", port=plan.GATEWAY_INTERNAL_PORT,
        ),
        InboundCase(
            "anyone, as one of us", "good", "alice@corp.example", OURS, True, 550, r"5\.7\.1"
        ),
    )  # fmt: skip


def outage_cases() -> tuple[OutageCase, ...]:
    """The first table's last row. A partner's own rule needs no helper, so its mail is sent."""
    return (
        OutageCase("policy", "good", "good.example", "sent"),
        OutageCase("policy", "plain", "plain-free.example", "held"),
        OutageCase("policy", "sts", "sts-free.example", "held"),
        OutageCase("resolver", "good", "good.example", "held"),
        OutageCase("resolver", "dane", "dane.example", "held"),
        OutageCase("resolver", "sts", "sts-free.example", "held"),
    )


def outage_inbound_cases() -> tuple[InboundCase, ...]:
    """With the policy helper stopped: a sender that only needs TLS is served, others wait (D16)."""
    pinned = "partner@pinned.example"
    return (
        InboundCase(
            "partner, pinned key, policy down", "pinned", pinned, OURS, True, 451,
            r"4\.3\.5", "/config/client.pem",
        ),
        InboundCase(
            "partner, any client, policy down", "good", "partner@good.example", OURS, True, 250
        ),
    )  # fmt: skip


OURS = "brand.example"
OTHER_KEY = "/config/chain.pem"
"""A key of the peer that is not in the partner's record."""


def _outcome(peer: plan.Peer, reason: str) -> tuple[MailOutcome, str, str]:
    if reason:
        return "held", "", reason
    match peer.transport:
        case Transport.NO_TLS | Transport.STRIPPED:
            return "sent", NONE, ""
        case Transport.OLD_TLS:
            return "sent", "TLSv1.1", ""
        case Transport.TLS:
            return "sent", MODERN, ""


def _with_header(case: OutboundCase) -> OutboundCase:
    return replace(case, header=NO_TLS_HEADER)


def _from(
    via: str, title: str, sender: str, chain: str | None = None
) -> tuple[InboundCase, InboundCase]:
    """A sender that must use TLS: refused in plaintext, accepted with TLS."""
    refused = InboundCase(title, via, sender, "corp.example", False, 450, r"4\.7\.1")
    return refused, InboundCase(title, via, sender, "corp.example", True, 250, chain=chain)


def _wrong(via: str, title: str, sender: str, chain: str | None) -> InboundCase:
    """A client with TLS that is not the partner that it claims to be."""
    return InboundCase(title, via, sender, "corp.example", True, 450, r"4\.7\.1 .* requires", chain)
