"""The DNS records that follow from the config."""

from __future__ import annotations

from collections.abc import Sequence

from tlsgate.dns.records import Record
from tlsgate.render.dns_records import gateway_records, with_accounts
from tlsgate_pulumi.settings import Settings


def published_records(
    settings: Settings, accounts: Sequence[str | None] = ()
) -> tuple[Record, ...]:
    """Return all records that the stack publishes, except the MTA-STS policy's id.

    `accounts`: URIs of the only ACME accounts that CAA records allow, in the order of the CAs.
    """
    return gateway_records(
        domains=settings.domains,
        hosts={host.name: host.addresses for host in settings.gateways},
        policy_addresses=settings.mta_sts.addresses,
        tlsrpt=(settings.tls_rpt,) if settings.tls_rpt else (),
        caa_issuers=with_accounts(settings.dns.caa_issuers, accounts),
        ttl=settings.dns.ttl,
    )
