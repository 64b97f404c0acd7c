"""main.cf of the gateway (postconf(5)).

Three rules shape it. Port 25 relays for nobody: it takes mail for the own domains only, and no
restriction list there holds a permit. Mail to a partner fails closed: whatever cannot be looked
up or verified is deferred. And nothing a message or an address says changes its policy.
"""

from __future__ import annotations

from collections.abc import Sequence

from tlsgate.generation.contract import ACTIVE
from tlsgate.render import notices
from tlsgate.render.partner_maps import PartnerMaps
from tlsgate.render.postfix_inbound import (
    inbound_tls,
    internal_listener,
    public_listener,
    recipients,
)
from tlsgate.render.postfix_outbound import (
    VERIFIED_STATUS,
    cipher_suites,
    outbound_tls,
    time_outs,
)
from tlsgate.render.postfix_settings import MainCfSection, PostfixSettings
from tlsgate.render.postfix_transports import ADDRESS_CHECK, INTERNAL, NULL_SENDER


def render_main(settings: PostfixSettings, maps: PartnerMaps, generation: str) -> str:
    """The text of main.cf; `generation`: a digest of these very files."""
    sections = (
        _identity(settings, generation),
        _destinations(settings),
        _queue(settings),
        outbound_tls(settings, maps),
        time_outs(),
        cipher_suites(),
        inbound_tls(settings, maps),
        public_listener(settings, maps),
        # Without the listener in master.cf Postfix would warn of each parameter of it as unused.
        *([internal_listener(settings, maps)] if settings.internal_networks else []),
        recipients(settings),
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


def _identity(settings: PostfixSettings, generation: str) -> MainCfSection:
    return "Identity", {
        "compatibility_level": "3.10",
        # Read by the watcher; it is in the names of what a session or connection must not outlive.
        "tlsgate_generation": generation,
        "myhostname": settings.host_name,
        # The sender of bounces is the organisation, not the machine.
        "myorigin": settings.domains[0],
        # Do not tell strangers the program and its version.
        "smtpd_banner": "$myhostname ESMTP",
        "inet_interfaces": "all",
        "inet_protocols": settings.inet_protocols,
        "proxy_interfaces": settings.public_addresses,
        "maillog_file": "/dev/stdout",
        "queue_directory": "/var/spool/postfix",
        "data_directory": "/var/lib/postfix",
        # Each new process loads OpenSSL, certificates and tables: start a tenth as many.
        "max_use": "1000",
        # The delay before a new process after one was killed (tlsgate.generation.listeners).
        "service_throttle_time": "2s",
    }


def _destinations(settings: PostfixSettings) -> MainCfSection:
    return "Destinations: own domains to the internal server, all else by MX and the routes", {
        "mydestination": "",
        "local_transport": "error:5.1.1 no mailbox is on this gateway",
        "alias_maps": "",
        "alias_database": "",
        "local_recipient_maps": "",
        "relay_domains": settings.domains,
        "relay_transport": f"{INTERNAL}:{internal_destination(settings)}",
        # Clients that guess addresses do not delay real mail.
        "address_verify_relay_transport": f"{ADDRESS_CHECK}:{internal_destination(settings)}",
        # Partners' mail has transports of its own, whatever else is routed (D18).
        "transport_maps": f"lmdb:{ACTIVE}/routes",
        "sender_dependent_default_transport_maps": f"inline:{{ <>={NULL_SENDER}: }}",
        "verified_status_filter": f"regexp:{ACTIVE}/{VERIFIED_STATUS}",
        "relayhost": settings.relayhost,
        "smtp_fallback_relay": "",
        # A domain on a list means itself: `.domain` is written where its subdomains are meant.
        "parent_domain_matches_subdomains": "",
        # A local part never contains another destination.
        "allow_percent_hack": "no",
        "swap_bangpath": "no",
        "append_dot_mydomain": "no",
    }


def _queue(settings: PostfixSettings) -> MainCfSection:
    return "Held mail", {
        "maximal_queue_lifetime": settings.queue_lifetime,
        "bounce_queue_lifetime": settings.queue_lifetime,
        "delay_warning_time": settings.delay_warning,
        "queue_run_delay": settings.retry_shortest,
        "minimal_backoff_time": settings.retry_shortest,
        "maximal_backoff_time": settings.retry_longest,
        # Limits for all mail that waits for its first attempt; 2 kB of memory for each message.
        "qmgr_message_active_limit": "50000",
        "qmgr_message_recipient_limit": "50000",
        "notify_classes": "",
        "fast_flush_domains": "",
        **notices.MAIN_PARAMETERS,
    }


def _protocol() -> MainCfSection:
    return "The SMTP protocol", {
        # U-labels would not match the A-labels of the partner list.
        # With DSN, strangers could have reports of success sent to a forged sender.
        "smtpd_discard_ehlo_keywords": ("silent-discard", "smtputf8", "etrn", "dsn"),
        "strict_smtputf8": "yes",
        "smtpd_delay_reject": "yes",
        "smtpd_helo_required": "yes",
        "disable_vrfy_command": "yes",
        "smtpd_forbid_bare_newline": "reject",
        "smtpd_forbid_bare_newline_exclusions": "",
        "smtpd_forbid_unauth_pipelining": "yes",
        # For each address; a peer's Postfix opens 20. A few slow clients leave most processes free.
        "smtpd_client_connection_count_limit": "25",
        "smtpd_client_connection_rate_limit": "1000",
        # The time-out is for a whole command or line, also if it arrives byte by byte.
        "smtpd_per_request_deadline": "yes",
        "anvil_rate_time_unit": "60s",
        "smtpd_sasl_auth_enable": "no",
        "smtpd_authorized_xclient_hosts": "",
        "smtpd_authorized_xforward_hosts": "",
    }


def _content(settings: PostfixSettings) -> MainCfSection:
    return "Messages", {
        "message_size_limit": str(settings.message_size),
        "mailbox_size_limit": "0",
        "smtpd_milters": settings.milters,
        "milter_default_action": "tempfail",
    }
