"""main.cf, from peers to the gateway: TLS, and who may send what (SMTPD_ACCESS_README).

Port 25 relays for nobody, and no restriction list there holds a permit. Port 2525 is for the
internal networks, and for senders that are theirs.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from tlsgate.generation.contract import ACTIVE, SESSIONS, TLS_DIRECTORY
from tlsgate.policy.contract import (
    ENFORCE,
    INBOUND_PORT,
    NULL_SENDER,
    OBSERVE_INBOUND,
    OBSERVE_OUTBOUND,
    context,
)
from tlsgate.render.partner_maps import (
    CLASS_DATED,
    CLASS_IDENTITY,
    CLASS_NULL_SENDER,
    CLASS_OBSERVED,
    CLASS_RECIPIENT,
    CLASS_TLS,
    NEEDS_TLS,
    PartnerMaps,
)
from tlsgate.render.postfix_settings import (
    REFUSE,
    MainCfSection,
    PostfixSettings,
    bracketed,
)
from tlsgate.tls import Strength

"""Below it a table for each generation, empty until another one is in force
(tlsgate.generation.sessions)."""

# A mailbox is `local@domain`, the domain of letters, digits and hyphens only. This keeps out
# whatever could send mail by another key than the partner's: address literals, a final dot,
# characters beyond ASCII, a port, a second destination in the local part (RFC 5321, section 4.1.2
# allows some of them; no mail domain needs them).
_ADDRESS = r"/^[^@]+@([a-z0-9_-]+\.)+[a-z][a-z0-9-]*$/"
SENDER_SYNTAX = f"/^<>$/ DUNNO\n!{_ADDRESS} 553 5.1.7 Bad sender address\n"
# RFC 5321, section 4.5.1: `postmaster` without a domain is a recipient everywhere.
RECIPIENT_SYNTAX = f"/^postmaster$/ DUNNO\n!{_ADDRESS} 553 5.1.3 Bad recipient address\n"
_SYNTAX_OF_SENDER = (f"check_sender_access regexp:{ACTIVE}/sender_syntax", "reject_non_fqdn_sender")
_SYNTAX_OF_RECIPIENT = (
    "reject_non_fqdn_recipient",
    f"check_recipient_access regexp:{ACTIVE}/recipient_syntax",
)
# Ends a session that began under another generation, never inside a message's data (421).
_SESSION_AT_RECIPIENT, _SESSION_AT_DATA = (
    f"check_client_access pipemap:{{static:{key},lmdb:{SESSIONS}/$tlsgate_generation}}"
    for key in ("recipient", "data")
)
_NEVER_REFUSES = ("default_action=DUNNO", "timeout=5s", "try_limit=1")

ROLES = ("abuse", "postmaster")
"""Addresses that a mail domain has to have (RFC 2142, section 2; RFC 5321, section 4.5.1)."""


def inbound_tls(settings: PostfixSettings, maps: PartnerMaps) -> MainCfSection:
    """One offer for everybody: who sends is known only after the handshake.

    What only some partners may use is refused to the others by the helper, session by session.
    """
    grade = "high" if maps.strength is Strength.STRONG else "medium"
    return "TLS, peer to gateway", {
        "smtpd_tls_chain_files": f"{TLS_DIRECTORY}/{settings.host_name}.pem",
        "smtpd_tls_security_level": "may",
        "smtpd_tls_protocols": ">=TLSv1.2",
        "smtpd_tls_mandatory_protocols": ">=TLSv1.2",
        "smtpd_tls_ciphers": grade,
        "smtpd_tls_mandatory_ciphers": grade,
        # An anonymous session could be TLS to an attacker in between.
        "smtpd_tls_exclude_ciphers": "aNULL",
        "smtpd_tls_ask_ccert": "yes" if maps.asks_certificates else "no",
        "smtpd_tls_fingerprint_digest": "sha256",
        "smtpd_tls_received_header": "yes",
        "smtpd_tls_loglevel": "1",
    }


def public_listener(settings: PostfixSettings, maps: PartnerMaps) -> MainCfSection:
    """Port 25."""
    enforce = _ask(settings, context(ENFORCE, maps.rules.digest))
    # Without the helper it is unknown whose server this is: every null sender needs TLS then.
    null_sender = _ask(
        settings,
        context(NULL_SENDER, maps.rules.digest),
        f"default_action={NEEDS_TLS}",
        "timeout=5s",
        "try_limit=1",
    )
    own = (f"check_sender_access lmdb:{ACTIVE}/own_senders",)
    return "Port 25: partners first, then who we are; no list holds a permit", {
        "mynetworks": "",
        "smtpd_restriction_classes": (
            CLASS_TLS,
            CLASS_IDENTITY,
            CLASS_DATED,
            CLASS_OBSERVED,
            CLASS_RECIPIENT,
            CLASS_NULL_SENDER,
        ),
        CLASS_TLS: NEEDS_TLS,
        CLASS_IDENTITY: (NEEDS_TLS, enforce),
        CLASS_DATED: enforce,
        # Observed: mail flows as before, whether the helper answers or not.
        CLASS_OBSERVED: _ask(
            settings, context(OBSERVE_INBOUND, maps.rules.digest), *_NEVER_REFUSES
        ),
        CLASS_RECIPIENT: _ask(
            settings, context(OBSERVE_OUTBOUND, maps.rules.digest), *_NEVER_REFUSES
        ),
        CLASS_NULL_SENDER: (
            f"check_client_access cidr:{ACTIVE}/partner_networks",
            *((null_sender,) if maps.rules.null_senders else ()),
        ),
        "smtpd_client_restrictions": _SESSION_AT_RECIPIENT,
        "smtpd_helo_restrictions": "",
        "smtpd_sender_restrictions": (
            f"check_sender_access lmdb:{ACTIVE}/partner_senders",
            *_SYNTAX_OF_SENDER,
            *(own if settings.own_senders == REFUSE else ()),
        ),
        "smtpd_relay_restrictions": "reject_unauth_destination",
        "smtpd_recipient_restrictions": (
            *_SYNTAX_OF_RECIPIENT,
            "reject_unauth_destination",
            *(("reject_unverified_recipient",) if settings.recipients == "verify" else ()),
        ),
        "smtpd_data_restrictions": (_SESSION_AT_DATA, "reject_unauth_pipelining"),
        "smtpd_etrn_restrictions": "reject",
        "plaintext_reject_code": "450",
        # A policy helper that is down: the mail of its partners waits with its sender (D16).
        "smtpd_policy_service_default_action": (
            "451 4.3.5 The check of this partner is not available, please try again later"
        ),
        "smtpd_policy_service_timeout": "10s",
        "smtpd_policy_service_try_limit": "2",
        "smtpd_policy_service_retry_delay": "1s",
    }


def internal_listener(settings: PostfixSettings, maps: PartnerMaps) -> MainCfSection:
    """Port 2525. Its senders are the own domains': bounces to others could not be returned."""
    observed = (f"check_recipient_access lmdb:{ACTIVE}/partner_recipients",)
    refused = (
        "static:{550 5.7.1 The sender is in none of the gateway's domains."
        " Allow it in tlsgate:internal.senders}"
    )
    return "Port 2525: the internal networks, and nobody else, to anywhere (see master.cf)", {
        "internal_networks": tuple(map(_network, settings.internal_networks)),
        # The limits per client do not apply to them.
        "smtpd_client_event_limit_exceptions": "$internal_networks",
        "internal_tls_level": "encrypt" if settings.internal_tls_required else "may",
        "internal_discard_ehlo_keywords": ("silent-discard", "smtputf8", "etrn"),
        "internal_client_restrictions": (_SESSION_AT_RECIPIENT, "permit_mynetworks", "reject"),
        "internal_sender_restrictions": (
            *_SYNTAX_OF_SENDER,
            f"check_sender_access lmdb:{ACTIVE}/internal_senders",
            f"check_sender_access {refused}",
        ),
        "internal_recipient_restrictions": (
            *_SYNTAX_OF_RECIPIENT,
            *(observed if maps.recipients else ()),
            "permit_mynetworks",
            "reject",
        ),
    }


def recipients(settings: PostfixSettings) -> MainCfSection:
    """Who exists in the own domains (ADDRESS_VERIFICATION_README, LOCAL_RECIPIENT_README)."""
    listed = {"relay_recipient_maps": f"lmdb:{ACTIVE}/recipients"}
    return "Recipients of the own domains", {
        **(listed if settings.recipients == "list" else {}),
        # The gateway's own name is a mail domain with two addresses, unless it is an own domain.
        "virtual_alias_domains": "" if _is_own(settings) else settings.host_name,
        "virtual_alias_maps": f"lmdb:{ACTIVE}/aliases",
        "address_verify_map": "lmdb:$data_directory/verify_cache",
        # As a bounce: what the internal server refuses from the null sender cannot be returned.
        "address_verify_sender": "",
        "unverified_recipient_reject_code": "550",
        "unverified_recipient_reject_reason": "Unknown recipient",
        # The internal server is down: the mail waits with its sender.
        "unverified_recipient_tempfail_action": "defer",
        "unverified_recipient_defer_code": "450",
        "address_verify_poll_count": "3",
        "address_verify_poll_delay": "1s",
        # A mailbox that was made a moment ago is not refused for days.
        "address_verify_negative_expire_time": "1h",
        "address_verify_negative_refresh_time": "5m",
        "address_verify_cache_cleanup_interval": "1h",
        "address_verify_positive_expire_time": "7d",
        "address_verify_positive_refresh_time": "1d",
    }


def own_sender_table(settings: PostfixSettings) -> Iterable[tuple[str, str]]:
    """The own domains, as whom nobody sends from outside (access(5))."""
    refused = "550 5.7.1 Mail in the name of our own domain is not accepted from outside"
    return ((domain, refused) for domain in sorted(settings.domains))


def sender_table(settings: PostfixSettings) -> Iterable[tuple[str, str]]:
    """Whom the internal networks may send as (access(5))."""
    return ((key, "OK") for key in sorted({"<>", *settings.domains, *settings.internal_senders}))


def alias_table(settings: PostfixSettings) -> Iterable[tuple[str, str]]:
    """Where mail for the roles goes (virtual(5))."""
    for role in ROLES:
        target = settings.postmaster or f"{role}@{settings.domains[0]}"
        if not _is_own(settings):
            yield f"{role}@{settings.host_name}", target
        if settings.postmaster:
            yield from ((f"{role}@{domain}", target) for domain in settings.domains)


def recipient_table(settings: PostfixSettings) -> Iterable[tuple[str, str]]:
    """The addresses that exist, with `recipients: list`."""
    roles = {f"{role}@{domain}" for role in ROLES for domain in settings.domains}
    return ((address, "OK") for address in sorted({*settings.recipient_list, *roles}))


def _is_own(settings: PostfixSettings) -> bool:
    return settings.host_name in settings.domains


def _ask(settings: PostfixSettings, policy_context: str, *attributes: str) -> str:
    """A question to the policy helper (SMTPD_POLICY_README); the context says what about."""
    server = f"inet:{bracketed(settings.policy_host)}:{INBOUND_PORT}"
    words = ", ".join((server, f"policy_context={policy_context}", *attributes))
    return f"check_policy_service {{ {words} }}"


def _network(cidr: str) -> str:
    network = ipaddress.ip_network(cidr)
    if network.version == 6:
        return f"[{network.network_address}]/{network.prefixlen}"
    return str(network)
