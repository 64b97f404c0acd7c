"""The DNS records that a gateway's stack publishes, and their master-file form.

MX (RFC 5321, section 5), A and AAAA, `_mta-sts` (RFC 8461, section 3.1),
`_smtp._tls` (RFC 8460, section 3) and CAA (RFC 8659). TLSA and `_acme-challenge` are the
agent's: no function here makes them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence

from tlsgate.dns.records import Record, require_hostname
from tlsgate.render.mta_sts import txt_value

MX_PREFERENCE = 10


def gateway_records(
    *,
    domains: Sequence[str],
    hosts: Mapping[str, Sequence[str]],
    policy_addresses: Sequence[str] = (),
    tlsrpt: Sequence[str] = (),
    caa_issuers: Sequence[str] = (),
    ttl: int = 3600,
) -> tuple[Record, ...]:
    """Every record of the stack but `_mta-sts`, which goes live last (see `mta_sts_record`).

    `domains`: what the gateway receives mail for. `hosts`: gateway host name → its public
    addresses. `policy_addresses`: of the policy host, for `mta-sts.<domain>`; empty for none.
    `tlsrpt`: mail addresses or mailto:/https: URIs for TLS reports. `caa_issuers`: CA domains,
    parameters (RFC 8657) allowed after `;`; they go to the certificates' own names only, never
    to the domain, whose other certificates this stack does not manage.

    Sorted by name and type. Raises ValueError on a name, address or URI that is not one.
    """
    records: list[Record] = []
    for host, addresses in hosts.items():
        records += _addresses(host, addresses, ttl)
        records += _caa(host, caa_issuers, ttl)
    exchangers = tuple(f"{MX_PREFERENCE} {require_hostname(host)}." for host in sorted(hosts))
    for domain in domains:
        records.append(Record(require_hostname(domain), "MX", ttl, exchangers))
        if policy_addresses:
            records += _addresses(f"mta-sts.{domain}", policy_addresses, ttl)
            records += _caa(f"mta-sts.{domain}", caa_issuers, ttl)
        if tlsrpt:
            records.append(Record(f"_smtp._tls.{domain}", "TXT", ttl, (tlsrpt_value(tlsrpt),)))
    return tuple(sorted(records))


def mta_sts_record(domain: str, policy_identifier: str, ttl: int = 3600) -> Record:
    """`_mta-sts.<domain>`: published only after its policy is served (RFC 8461, section 3.1)."""
    name = f"_mta-sts.{require_hostname(domain)}"
    return Record(name, "TXT", ttl, (txt_value(policy_identifier),))


def tlsrpt_value(destinations: Sequence[str]) -> str:
    """The raw text of `_smtp._tls.<domain>` TXT (RFC 8460, section 3)."""
    return f"v=TLSRPTv1; rua={','.join(map(_report_uri, destinations))}"


def _report_uri(destination: str) -> str:
    scheme, colon, _ = destination.partition(":")
    uri = destination if colon and scheme in {"mailto", "https"} else f"mailto:{destination}"
    # RFC 8460, section 3: these separate fields and URIs, so a URI carries them encoded.
    uri = uri.replace("!", "%21").replace(",", "%2C").replace(";", "%3B")
    if not re.fullmatch(r"mailto:[\x21-\x7e]+@[\x21-\x7e]+|https://[\x21-\x7e]+", uri):
        raise ValueError(
            f"TLS report destination is {destination!r}: write a mail address or an https: URI"
        )
    return uri


def _addresses(name: str, addresses: Iterable[str], ttl: int) -> list[Record]:
    parsed = sorted({ipaddress.ip_address(text) for text in addresses}, key=lambda a: a.packed)
    records = []
    for rtype, version in (("A", 4), ("AAAA", 6)):
        values = tuple(str(address) for address in parsed if address.version == version)
        if values:
            records.append(Record(require_hostname(name), rtype, ttl, values))
    return records


def _caa(name: str, issuers: Sequence[str], ttl: int) -> list[Record]:
    if not issuers:
        return []
    values = dict.fromkeys(f'0 issue "{_issuer(issuer)}"' for issuer in issuers)
    return [Record(require_hostname(name), "CAA", ttl, (*values, '0 issuewild ";"'))]


def with_accounts(issuers: Sequence[str], accounts: Sequence[str | None]) -> tuple[str, ...]:
    """CAA issuers bound to accounts (RFC 8657, section 3), in the same order; None: to none."""
    bound = [*accounts, *(None for _ in issuers[len(accounts) :])]
    return tuple(
        f"{issuer}; accounturi={uri}" if uri else issuer
        for issuer, uri in zip(issuers, bound[: len(issuers)], strict=True)
    )


def _issuer(text: str) -> str:
    """A CAA issue value: a CA's domain, then `;`-separated parameters (RFC 8659, section 4.2)."""
    domain, _, parameters = text.partition(";")
    require_hostname(domain.strip())
    if not re.fullmatch(r"[\x20\x21\x23-\x5b\x5d-\x7e]*", parameters):
        raise ValueError(f'CAA issuer is {text!r}: write printable ASCII without " and \\')
    return text.strip()
