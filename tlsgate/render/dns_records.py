"""The DNS records that a gateway's stack publishes, and their master-file form.

MX (RFC 5321, section 5), A and AAAA, `_mta-sts` (RFC 8461, section 3.1),
`_smtp._tls` (RFC 8460, section 3) and CAA (RFC 8659). TLSA and `_acme-challenge` are the
agent's: no function here makes them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tlsgate.render.mta_sts import txt_value

MX_PREFERENCE = 10
_STRING_LIMIT = 255
"""Octets of one <character-string> (RFC 1035, section 3.3)."""

_HOSTNAME = re.compile(
    r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
)


def require_hostname(name: str) -> str:
    """The name itself if it is a canonical host name (lower-case A-labels, no final dot).

    Raises ValueError otherwise, so that no rendered file ever holds a name that its program
    would read as something else.
    """
    if not _HOSTNAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a host name: write lower-case A-labels, no final dot")
    return name


@dataclass(frozen=True, slots=True, order=True)
class Record:
    """One record set.

    `name` is absolute, without its final dot. `ttl` is in seconds. `values` are in presentation
    form with absolute names (final dot); for TXT they are the raw text, one string a record.
    """

    name: str
    type: str
    ttl: int
    values: tuple[str, ...]

    def rdata(self) -> tuple[str, ...]:
        """The values as a master file and dnspython take them: TXT quoted and split."""
        if self.type == "TXT":
            return tuple(quote_txt(value) for value in self.values)
        return self.values


def quote_txt(text: str) -> str:
    """Raw text as one or more quoted <character-string>s of at most 255 octets each."""
    octets = text.encode("utf-8")
    chunks = [
        octets[start : start + _STRING_LIMIT] for start in range(0, len(octets), _STRING_LIMIT)
    ] or [b""]
    return " ".join(f'"{"".join(map(_escape, chunk))}"' for chunk in chunks)


def _escape(octet: int) -> str:
    """One octet in a quoted string (RFC 1035, section 5.1)."""
    if octet in b'"\\':
        return f"\\{chr(octet)}"
    return chr(octet) if 0x20 <= octet < 0x7F else f"\\{octet:03d}"


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
    to the domain, whose other certificates are none of this stack's business.

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


def zone_lines(records: Iterable[Record]) -> str:
    """Master-file lines (RFC 1035, section 5), for those whose DNS is changed by ticket."""
    return "".join(
        f"{record.name}. {record.ttl} IN {record.type} {value}\n"
        for record in records
        for value in record.rdata()
    )
