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
    return "Who this is", {
        "compatibility_level": "3.10",
        # Read by the watcher; it is in the names of what a session or connection must not outlive.
        "tlsgate_generation": generation,
        "myhostname": settings.host_name,
        # Bounces come from the organisation, not from the machine.
        "myorigin": settings.domains[0],
        # Strangers learn neither the program nor its version.
        "smtpd_banner": "$myhostname ESMTP",
        "inet_interfaces": "all",
        "inet_protocols": settings.inet_protocols,
        "proxy_interfaces": settings.public_addresses,
        "maillog_file": "/dev/stdout",
        "queue_directory": "/var/spool/postfix",
        "data_directory": "/var/lib/postfix",
        # A process that starts loads OpenSSL, certificates and tables anew: a tenth as often.
        "max_use": "1000",
        # For this long no other process starts after one was killed (tlsgate.generation.listeners).
        "service_throttle_time": "2s",
    }


def _destinations(settings: PostfixSettings) -> MainCfSection:
    return "Where mail goes: own domains to the internal server, all else by MX and the routes", {
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
        # No address is taken apart to find another destination in its local part.
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
        # Mail that waits for its first attempt fills these, whosever it is; 2 kB of memory each.
        "qmgr_message_active_limit": "50000",
        "qmgr_message_recipient_limit": "50000",
        "notify_classes": "",
        "fast_flush_domains": "",
        **notices.MAIN_PARAMETERS,
    }


def _protocol() -> MainCfSection:
    return "SMTP as strangers speak it", {
        # U-labels would be another key than the A-labels of the partner list.
        # DSN from strangers would send reports of success to whomever they forge as the sender.
        "smtpd_discard_ehlo_keywords": ("silent-discard", "smtputf8", "etrn", "dsn"),
        "strict_smtputf8": "yes",
        "smtpd_delay_reject": "yes",
        "smtpd_helo_required": "yes",
        "disable_vrfy_command": "yes",
        "smtpd_forbid_bare_newline": "reject",
        "smtpd_forbid_bare_newline_exclusions": "",
        "smtpd_forbid_unauth_pipelining": "yes",
        # Of one address; a peer's Postfix opens 20. A few slow ones leave most processes free.
        "smtpd_client_connection_count_limit": "25",
        "smtpd_client_connection_rate_limit": "1000",
        # A command or a line a byte at a time: the whole of it has this long.
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
