"""The socketmap behind `smtp_tls_policy_maps` (socketmap_table(5)): DANE, then MTA-STS.

RFC 8461, section 2: MTA-STS must not override DANE. The library postfix-mta-sts-resolver speaks
the protocol and answers for MTA-STS; this adds DANE before it and closes what it leaves open.

| DANE at the domain's MX hosts   | MTA-STS enforces | answer |
| every host has it               | (not asked)      | NOTFOUND: the default level `dane` acts |
| some hosts have it              | no               | NOTFOUND: `dane` acts host by host |
| some hosts have it              | yes              | `dane-only`: under `dane` a host without TLSA
|                                 |                  | would get plaintext, which MTA-STS forbids |
| none                            | no               | NOTFOUND: `dane`, so opportunistic |
| none                            | yes              | `secure` with the policy's names |
| none seen, some look-ups failed | no               | NOTFOUND: Postfix itself passes over a host
|                                 |                  | whose TLSA it cannot look up |
| none seen, some look-ups failed | yes              | TEMP: the host might have DANE |
| no look-up succeeded            | (not asked)      | TEMP |

MX or `_mta-sts` that cannot be looked up, or are bogus: TEMP.

The map of the name `NOTICE` is for a transport whose default is `secure` instead of `dane`
(tlsgate.render.notices): there the first row's answer is `dane-only`.

Before it, a map of another name, `partners-<digest>`: the partner rules of the gateway's own
generation, for what its static table does not answer. By the clock, for rules that end. For a
subdomain of a partner, because Postfix asks every table for the whole name before it asks any for
`.parent`: an MTA-STS answer would take the partner's rule away. TEMP to a digest that is not
known here: Postfix and this helper have different generations, and the mail waits until they meet.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from postfix_mta_sts_resolver import netstring
from postfix_mta_sts_resolver.responder import STSSocketmapResponder, ZoneEntry
from postfix_mta_sts_resolver.utils import populate_cfg_defaults

from tlsgate.policy.dane import Asks, Domain, domain_dane
from tlsgate.policy.lookups import LookupFailure
from tlsgate.policy.rules import Rules
from tlsgate.policy.sts import CACHE_ENTRIES, PolicyCache, PolicyResolver

REQUEST_SECONDS = 40.0
"""Less than Postfix's own patience (socketmap: 100 s)."""

PARTNERS = "partners-"
NOTICE = "NOTICE"

# Room for `_mta-sts.` and `_25._tcp.` before it in a name of at most 253 octets.
_MAIL_DOMAIN = re.compile(
    r"(?=.{1,243}\Z)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?"
)

NOT_FOUND: bytes = netstring.encode(b"NOTFOUND ")
DANE_ONLY: bytes = netstring.encode(b"OK dane-only")


def temporary(reason: str) -> bytes:
    """Postfix defers the message and logs the reason."""
    return bytes(netstring.encode(b"TEMP " + reason.encode("ascii", "replace")))


def mail_domain(key: str) -> str | None:
    """The mail domain that a policy look-up is about, or None if it is not about one.

    Not about one: `[host]` and `domain:port` (an operator's own route, to which neither MX-based
    DANE nor MTA-STS applies), addresses, `.parent` keys, single labels.
    """
    try:
        domain = key.strip().rstrip(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None
    return domain if _MAIL_DOMAIN.fullmatch(domain) else None


def choose(dane: Domain, sts_answer: bytes) -> bytes:
    """The answer, from what DANE says and what MTA-STS would answer (the table above)."""
    enforced = sts_answer != NOT_FOUND
    if dane is Domain.COMPLETE or (dane is Domain.UNKNOWN and not enforced):
        return NOT_FOUND
    if dane is Domain.PARTIAL:
        return DANE_ONLY if enforced else NOT_FOUND
    if dane is Domain.NONE:
        return sts_answer
    return temporary("TLSA look-up failed at an MX host of the domain")


def partner_answer(rules: Rules | None, name: str, now: datetime) -> bytes:
    """What the partner rules say to a name or a `.parent` key; None: they are not known here."""
    if rules is None:
        return temporary("the list of partners is being changed")
    rule = rules.destination(name.lower())
    if rule is None or rule.observe:
        return NOT_FOUND
    return bytes(netstring.encode(f"OK {rule.at(now)}".encode("ascii")))


async def no_rules(_digest: str) -> Rules | None:
    """For a responder that is asked about no partner."""
    return None


class Responder(STSSocketmapResponder):  # type: ignore[misc]  # the library has no types
    """One for all connections; `handler` serves one of them.

    `rules`: the partner rules by their digest, None for those that are not known.
    """

    def __init__(
        self,
        lookups: Asks,
        policies: PolicyResolver,
        rules: Callable[[str], Awaitable[Rules | None]] = no_rules,
    ) -> None:
        cfg: dict[str, Any] = populate_cfg_defaults({"default_zone": {"tlsrpt": True}})
        cache = PolicyCache(CACHE_ENTRIES)
        super().__init__(cfg, asyncio.get_running_loop(), cache)
        self._default_zone = ZoneEntry(
            strict=False, resolver=policies, require_sni=True, tlsrpt=True
        )
        self._lookups = lookups
        self._rules = rules

    async def process_request(self, raw_req: bytes) -> bytes:
        """One request `<map name> <key>` to one netstring."""
        name, space, key = raw_req.decode("utf-8", "replace").partition(" ")
        if name.startswith(PARTNERS):
            rules = await self._rules(name.removeprefix(PARTNERS))
            return partner_answer(rules, key, datetime.now(UTC))
        domain = mail_domain(key) if space else None
        if domain is None:
            return NOT_FOUND
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                dane = await domain_dane(self._lookups, domain)
                if dane in {Domain.COMPLETE, Domain.FAILED}:
                    answer = choose(dane, NOT_FOUND)
                    return DANE_ONLY if name == NOTICE and answer == NOT_FOUND else answer
                sts: bytes = await super().process_request(f"{name} {domain}".encode())
        except LookupFailure as failure:
            return temporary(f"look-up failed: {failure}")
        except TimeoutError:
            return temporary(f"no answer within {REQUEST_SECONDS:.0f} s")
        return choose(dane, sts)
