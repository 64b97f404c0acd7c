"""main.cf of the gateway (postconf(5), TLS_README, SMTPD_ACCESS_README).

Three rules shape it. Port 25 relays for nobody: it takes mail for the own domains only, and no
restriction list there holds a permit. Mail to a partner fails closed: whatever cannot be looked
up or verified is deferred. And nothing a message or an address says changes its policy.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

from tlsgate.render.outbound_policy import ACTIVE
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
    IDENTITY_PORT,
    POLICY_PORT,
    REFUSE,
    PostfixSettings,
    is_address,
)

TLS_DIRECTORY = "/run/tlsgate/tls"
SYSTEM_ROOTS = "/etc/ssl/certs"

Parameters = Mapping[str, str | Sequence[str]]
Section = tuple[str, Parameters]


def render_main(settings: PostfixSettings, maps: PartnerMaps, connection_cache: str) -> str:
    """The text of main.cf. A list is written one item a line."""
    sections = (
        _identity(settings),
        _destinations(settings),
        _queue(settings),
        _outbound_tls(settings, maps, connection_cache),
        _inbound_tls(settings, maps),
        _public_listener(settings, maps),
        _internal_listener(settings, maps),
        _protocol(),
        _content(settings),
    )
    lines = ["# Made by tlsgate; changed by the next `pulumi up`, not by hand.\n"]
    for title, parameters in sections:
        lines.append(f"\n# {title}\n")
        lines += [_line(name, value) for name, value in parameters.items()]
    return "".join(lines)


def internal_destination(settings: PostfixSettings) -> str:
    """The next hop of mail for the own domains."""
    return f"[{settings.internal_host}]:{settings.internal_port}"


def _line(name: str, value: str | Sequence[str]) -> str:
    if isinstance(value, str):
        return f"{name} = {value}".rstrip() + "\n"
    if not value:
        return f"{name} =\n"
    return f"{name} =\n" + "".join(f"    {item}\n" for item in value)


def _identity(settings: PostfixSettings) -> Section:
    return "Who this is", {
        "compatibility_level": "3.10",
        "myhostname": settings.host_name,
        # Bounces come from the organisation, not from the machine.
        "myorigin": settings.domains[0],
        # Neither the program nor its version is told to strangers.
        "smtpd_banner": "$myhostname ESMTP",
        "inet_interfaces": "all",
        "inet_protocols": settings.inet_protocols,
        "proxy_interfaces": settings.public_addresses,
        "maillog_file": "/dev/stdout",
        "queue_directory": "/var/spool/postfix",
        "data_directory": "/var/lib/postfix",
        # A process that starts loads OpenSSL, certificates and tables anew: a tenth as often.
        "max_use": "1000",
    }


def _destinations(settings: PostfixSettings) -> Section:
    return "Where mail goes: own domains to the internal server, all else by MX and the routes", {
        "mydestination": "",
        "local_transport": "error:5.1.1 no mailbox is on this gateway",
        "alias_maps": "",
        "alias_database": "",
        "local_recipient_maps": "",
        "relay_domains": settings.domains,
        "relay_transport": f"internal:{internal_destination(settings)}",
        "transport_maps": f"lmdb:{ACTIVE}/routes",
        "relayhost": settings.relayhost,
        "smtp_fallback_relay": "",
        # A domain on a list means itself: `.domain` is written where its subdomains are meant.
        "parent_domain_matches_subdomains": "",
        # No address is taken apart to find another destination in its local part.
        "allow_percent_hack": "no",
        "swap_bangpath": "no",
        "append_dot_mydomain": "no",
    }


def _queue(settings: PostfixSettings) -> Section:
    return "Held mail", {
        "maximal_queue_lifetime": settings.queue_lifetime,
        "bounce_queue_lifetime": settings.queue_lifetime,
        "delay_warning_time": settings.delay_warning,
        "queue_run_delay": settings.retry_shortest,
        "minimal_backoff_time": settings.retry_shortest,
        "maximal_backoff_time": settings.retry_longest,
        "notify_classes": "",
        "fast_flush_domains": "",
    }


def _outbound_tls(settings: PostfixSettings, maps: PartnerMaps, connection_cache: str) -> Section:
    helper = f"socketmap:inet:{_bracketed(settings.policy_host)}:{POLICY_PORT}"
    rules = (f"{helper}:partners-{maps.rules.digest}",) if maps.rules.answers_outbound else ()
    return "TLS, gateway to peer", {
        # The first table that answers wins: partners, then MTA-STS; else DANE, else opportunistic.
        # All tables are asked for a name before any is for its `.parent`, so the second one
        # answers for partners' subdomains, and for what ends with a date.
        "smtp_tls_policy_maps": (f"lmdb:{ACTIVE}/partner_policy", *rules, f"{helper}:QUERY"),
        "smtp_tls_security_level": "dane",
        "smtp_dns_support_level": "dnssec",
        # With the default, the header `TLS-Required: no` would send to a partner in plaintext.
        "tls_required_enable": "no",
        "smtp_tls_CApath": SYSTEM_ROOTS,
        "smtp_tls_CAfile": f"{ACTIVE}/extra-ca.pem" if settings.extra_ca else "",
        "smtp_tls_fingerprint_digest": "sha256",
        "smtp_tls_mandatory_protocols": ">=TLSv1.2",
        "smtp_tls_mandatory_ciphers": "high",
        # For those without a policy old TLS is better than none (RFC 7435).
        "smtp_tls_protocols": ">=TLSv1",
        "smtp_tls_ciphers": "medium",
        "tls_medium_cipherlist": "aNULL:-aNULL:HIGH:MEDIUM:@STRENGTH:@SECLEVEL=0",
        # No session cache: each connection proves itself anew. Speed comes from its reuse.
        "smtp_tls_connection_reuse": "yes",
        "connection_cache_service_name": connection_cache,
        "smtp_tls_loglevel": "1",
        "smtp_tls_note_starttls_offer": "yes",
        # The public certificate is a server's (D8).
        "smtp_tls_chain_files": "",
    }


def _inbound_tls(settings: PostfixSettings, maps: PartnerMaps) -> Section:
    return "TLS, peer to gateway", {
        "smtpd_tls_chain_files": f"{TLS_DIRECTORY}/{settings.host_name}.pem",
        "smtpd_tls_security_level": "may",
        "smtpd_tls_protocols": ">=TLSv1.2",
        "smtpd_tls_mandatory_protocols": ">=TLSv1.2",
        "smtpd_tls_ciphers": "high",
        "smtpd_tls_mandatory_ciphers": "high",
        "smtpd_tls_ask_ccert": "yes" if maps.asks_certificates else "no",
        "smtpd_tls_fingerprint_digest": "sha256",
        "smtpd_tls_received_header": "yes",
        "smtpd_tls_loglevel": "1",
        "tls_preempt_cipherlist": "no",
        "tls_ssl_options": "NO_COMPRESSION, NO_RENEGOTIATION",
    }


def _public_listener(settings: PostfixSettings, maps: PartnerMaps) -> Section:
    enforce = _ask(settings, f"enforce-{maps.rules.digest}")
    # Without the helper nobody knows whose server this is: every null sender needs TLS then.
    null_sender = _ask(
        settings,
        f"null-sender-{maps.rules.digest}",
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
        CLASS_OBSERVED: _ask(settings, f"observe-inbound-{maps.rules.digest}", *_NEVER_REFUSES),
        CLASS_RECIPIENT: _ask(settings, f"observe-outbound-{maps.rules.digest}", *_NEVER_REFUSES),
        CLASS_NULL_SENDER: (
            f"check_client_access cidr:{ACTIVE}/partner_networks",
            *((null_sender,) if maps.rules.null_senders else ()),
        ),
        "smtpd_client_restrictions": "",
        "smtpd_helo_restrictions": "",
        "smtpd_sender_restrictions": (
            f"check_sender_access lmdb:{ACTIVE}/partner_senders",
            f"check_sender_access regexp:{ACTIVE}/sender_syntax",
            "reject_non_fqdn_sender",
            *(own if settings.own_senders == REFUSE else ()),
        ),
        "smtpd_relay_restrictions": "reject_unauth_destination",
        "smtpd_recipient_restrictions": (
            "reject_non_fqdn_recipient",
            f"check_recipient_access regexp:{ACTIVE}/recipient_syntax",
            "reject_unauth_destination",
        ),
        "smtpd_data_restrictions": "reject_unauth_pipelining",
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


def _internal_listener(settings: PostfixSettings, maps: PartnerMaps) -> Section:
    observed = (f"check_recipient_access lmdb:{ACTIVE}/partner_recipients",)
    return "Port 2525: the internal networks, and nobody else, to anywhere (see master.cf)", {
        "internal_networks": tuple(map(_network, settings.internal_networks)),
        "internal_tls_level": "encrypt" if settings.internal_tls_required else "may",
        "internal_client_restrictions": ("permit_mynetworks", "reject"),
        "internal_sender_restrictions": (
            f"check_sender_access regexp:{ACTIVE}/sender_syntax",
            "reject_non_fqdn_sender",
        ),
        "internal_recipient_restrictions": (
            "reject_non_fqdn_recipient",
            f"check_recipient_access regexp:{ACTIVE}/recipient_syntax",
            *(observed if maps.recipients else ()),
            "permit_mynetworks",
            "reject",
        ),
    }


def _protocol() -> Section:
    return "SMTP as strangers speak it", {
        # U-labels would be another key than the A-labels of the partner list.
        "smtpd_discard_ehlo_keywords": ("silent-discard", "smtputf8", "etrn"),
        "strict_smtputf8": "yes",
        "smtpd_delay_reject": "yes",
        "smtpd_helo_required": "yes",
        "disable_vrfy_command": "yes",
        "smtpd_forbid_bare_newline": "reject",
        "smtpd_forbid_bare_newline_exclusions": "",
        "smtpd_forbid_unauth_pipelining": "yes",
        "smtpd_client_connection_count_limit": "50",
        "smtpd_client_connection_rate_limit": "1000",
        "anvil_rate_time_unit": "60s",
        "smtpd_sasl_auth_enable": "no",
        "smtpd_authorized_xclient_hosts": "",
        "smtpd_authorized_xforward_hosts": "",
    }


def _content(settings: PostfixSettings) -> Section:
    return "Messages", {
        "message_size_limit": str(settings.message_size),
        "mailbox_size_limit": "0",
        "smtpd_milters": settings.milters,
        "milter_default_action": "tempfail",
    }


_NEVER_REFUSES = ("default_action=DUNNO", "timeout=5s", "try_limit=1")


def _ask(settings: PostfixSettings, context: str, *attributes: str) -> str:
    """A question to the policy helper (SMTPD_POLICY_README); the context says what about."""
    server = f"inet:{_bracketed(settings.policy_host)}:{IDENTITY_PORT}"
    words = ", ".join((server, f"policy_context={context}", *attributes))
    return f"check_policy_service {{ {words} }}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if is_address(host) and ":" in host else host


def _network(cidr: str) -> str:
    network = ipaddress.ip_network(cidr)
    if network.version == 6:
        return f"[{network.network_address}]/{network.prefixlen}"
    return str(network)
