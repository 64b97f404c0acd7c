"""How the gateway's notices reach the milter, and how protected ones are sent (D20).

Postfix's own `bounce` controls do not depend on the recipient, so bounce(8) passes its notices to
a separate cleanup(8), whose milter (tlsgate.notices) decides. If the milter does not answer, the
notice is not created: the message stays in the queue, and Postfix tries again.

A header selects the route of a protected notice. Only a header that the milter adds counts
(`milter_header_checks`); a header in the message itself is ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tlsgate.generation.contract import ACTIVE
from tlsgate.notices.contract import HEADER, PORT, PROTECTED
from tlsgate.notices.domain_list import DOMAIN_LIST, DomainList, PartnerDomain
from tlsgate.partners.model import Mode, Partner
from tlsgate.render.postfix_settings import bracketed

CLEANUP = "notice-cleanup"
TRANSPORT = "notice"
ROUTES = "notice_routes"
MAIN_PARAMETERS = {
    # Notices contain headers only: every message is larger than this limit of one octet.
    "bounce_size_limit": "1",
}
BOUNCE_OPTIONS = f"""\
    -o internal_mail_filter_classes=bounce
    -o cleanup_service_name={CLEANUP}
"""
"""Options of bounce, defer and trace in master.cf, the services that create notices."""


def notice_files(
    domains: Sequence[str], partners: Sequence[Partner], aliases: Iterable[tuple[str, str]] = ()
) -> dict[str, str]:
    """File name → content, for the generation. `domains`: the own ones. `aliases`: virtual(5)."""
    domain_list = DomainList(
        frozenset(domains),
        {
            domain: PartnerDomain(partner.name, partner.subdomains, partner.mode is Mode.ENFORCE)
            for partner in partners
            for domain in partner.domains
        },
        dict(aliases),
    )
    # Without a next hop: the recipient's domain (default_filter_nexthop).
    return {
        DOMAIN_LIST: domain_list.to_json(),
        ROUTES: f"/^{HEADER}: {PROTECTED}$/ FILTER {TRANSPORT}:\n",
    }


def cleanup_service(notices_host: str) -> str:
    """The lines of master.cf; `notices_host`: where the milter answers.

    A milter that hangs delays a notice by 2 s, and the message is tried again later. With a
    longer time the notices of a flood would use up the memory: Postfix has no limit for bounce(8)
    and cleanup(8).
    """
    return f"""\
# Notices: the milter checks each one before it is queued.
{CLEANUP} unix n -     n       -       0       cleanup
    -o syslog_name=postfix/notice
    -o non_smtpd_milters=inet:{bracketed(notices_host)}:{PORT}
    -o milter_default_action=tempfail
    -o milter_connect_timeout=2s
    -o milter_command_timeout=3s
    -o milter_content_timeout=10s
    -o milter_header_checks=regexp:{ACTIVE}/{ROUTES}
"""


TRANSPORT_OPTIONS = {
    "smtp_tls_security_level": "secure",
    "smtp_tls_secure_cert_match": "nexthop,dot-nexthop",
    "smtp_tls_policy_maps": "$notice_policy_maps",
    "smtp_tls_servername": "hostname",
    # There are too few for reuse; each connection is verified separately.
    "smtp_tls_connection_reuse": "no",
    "smtp_connection_cache_on_demand": "no",
    "smtp_helo_timeout": "30s",
}
"""Of the transport `notice`: verified TLS by the destination's own DANE or MTA-STS, otherwise by
its own name, as for a partner. Suites and protocols are main.cf's strong ones.
"""
