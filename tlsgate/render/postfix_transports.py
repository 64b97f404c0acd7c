"""The outbound classes of mail, each with processes and connections of its own (D18, master(5)).

| transport     | mail                                     | TLS                                  |
| ------------- | ---------------------------------------- | ------------------------------------ |
| partner       | to partners whose rule has no end        | the partner's policy; asks no helper |
| partner-dated | to partners whose rule ends with a date  | as the policy helper says now        |
| internal      | to the internal server                   | `tlsgate:internal.tls`               |
| address-check | questions whether a recipient exists     | the same                             |
| smtp          | to everyone else                         | DANE, MTA-STS, else opportunistic    |
| null-sender   | bounces and notices to everyone else     | the same                             |
| notice        | those of them about partners' mail (D20) | verified: DANE, MTA-STS, own name    |

Outsiders can fill the last four: with recipients that do not exist, with mail that bounces to
servers which never answer, with policies that cannot be fetched. They can take no process, no
time-out and no cached connection of the first two, and of the third only by mail that the internal
server is to have. Each class also has a tlsproxy(8) of its own, because that one takes its TLS
settings from its own command line, and a scache(8), so that no connection made under one class's
rules is ever found by another's.

The name of a scache also holds the digest of the generation: Postfix tells connections apart by
next hop and level, not by the whole policy, so a delivery that goes on while the policy is
tightened would otherwise leave its connection to the mail after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tlsgate.render.notices import TRANSPORT as NOTICE
from tlsgate.render.notices import TRANSPORT_OPTIONS
from tlsgate.render.partner_maps import DATED, PARTNER
from tlsgate.render.postfix_settings import PostfixSettings

INTERNAL = "internal"
ADDRESS_CHECK = "address-check"
OTHERS = "smtp"
NULL_SENDER = "null-sender"

Options = Mapping[str, str]

_STRICT_TLS: Options = {}
"""What main.cf says."""
_DATED_TLS: Options = {
    # Postfix has three grades, and two are the strengths of partners. No policy asks for this one
    # by name, and none that demands TLS ever gets it.
    "tls_null_cipherlist": "$others_ciphers",
}
_WIDE_TLS: Options = {
    "tls_high_cipherlist": "$others_high_ciphers",
    "tls_medium_cipherlist": "$others_ciphers",
    # OpenSSL's own list of groups: old servers may have none of the strong ones.
    "tls_config_file": "default",
    "tls_config_name": "",
}
_VERIFIED_STATUS: Options = {
    "smtp_delivery_status_filter": "$verified_status_filter",
    # Postfix keeps a size limit that was announced before TLS, by whoever stood in between, and
    # would give up by itself. Without it the server says under TLS what is too large.
    "smtp_discard_ehlo_keywords": "silent-discard,size",
}
"""Only the server itself returns mail (tlsgate.render.postfix_outbound)."""
_PARTNER: Options = {
    # Whatever the table does not answer is not sent to an opportunistic level.
    "smtp_tls_security_level": "secure",
    # The server may have its right certificate for this name only (RFC 7817, section 3).
    "smtp_tls_servername": "hostname",
    # What only DNS says is never final for a partner (D19).
    **_VERIFIED_STATUS,
}


@dataclass(frozen=True, slots=True)
class Transport:
    """One smtp(8) client service. `processes`: deliveries at once.

    `tls`: the TLS settings that its tlsproxy(8) must have as well.
    """

    name: str
    processes: int
    syslog_name: str
    tls: Options
    options: Options

    def services(self, generation: str) -> Iterator[str]:
        """Its lines of master.cf: the client, its tlsproxy and its connection cache."""
        log = {"syslog_name": self.syslog_name}
        proxy, cache = f"tlsproxy-{self.name}", f"scache-{self.name}-{generation}"
        own = {"tlsproxy_service_name": proxy, "connection_cache_service_name": cache}
        options = {**log, **own, **self.tls, **self.options}
        yield service(self.name, self.processes, "smtp", options)
        yield service(proxy, 0, "tlsproxy", {**log, **self.tls})
        yield service(cache, 1, "scache", {})


def transports(settings: PostfixSettings) -> tuple[Transport, ...]:
    """Every class of the table above."""
    internal = {
        "smtp_tls_security_level": settings.internal_tls,
        "smtp_tls_policy_maps": "",
        "smtp_tls_secure_cert_match": "nexthop",
        **({"smtp_tls_servername": "hostname"} if settings.internal_tls == "secure" else {}),
        "smtp_dns_support_level": "enabled",
        "smtp_host_lookup": "dns,native",
        # A name that does not resolve today does not return yesterday's mail.
        **_VERIFIED_STATUS,
    }
    return (
        Transport(
            PARTNER,
            200,
            "postfix/partner",
            _STRICT_TLS,
            {**_PARTNER, "smtp_tls_policy_maps": "$partner_policy_maps"},
        ),
        Transport(
            DATED,
            50,
            "postfix/partner-dated",
            _DATED_TLS,
            {
                **_PARTNER,
                "smtp_tls_policy_maps": "$dated_policy_maps",
                # While an exception allows plaintext, old TLS is better than that (RFC 7435).
                "smtp_tls_ciphers": "null",
            },
        ),
        Transport(INTERNAL, 50, "postfix/to-internal", _WIDE_TLS, internal),
        Transport(ADDRESS_CHECK, 20, "postfix/address-check", _WIDE_TLS, internal),
        Transport(OTHERS, 100, "postfix", _WIDE_TLS, {}),
        Transport(
            NULL_SENDER,
            20,
            "postfix/null-sender",
            _WIDE_TLS,
            {"smtp_helo_timeout": "30s"},
        ),
        Transport(
            NOTICE,
            10,
            "postfix/notice",
            _STRICT_TLS,
            TRANSPORT_OPTIONS,
        ),
    )


def service(name: str, processes: int | str, command: str, options: Options) -> str:
    """A private service of master.cf with its options, one a line."""
    line = f"{name:<9} unix  -       -       n       -       {processes:<7} {command}\n"
    return line + "".join(f"    -o {key}={value}\n" for key, value in options.items())
