"""The socketmap behind `smtp_tls_policy_maps` (socketmap_table(5)): DANE, then MTA-STS.

RFC 8461, section 2: MTA-STS must not override DANE. The library postfix-mta-sts-resolver speaks
the protocol; the answers are made here.

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
| any other                       | not known yet    | TEMP: the policy is being fetched |

An MX that cannot be looked up, or is bogus: TEMP. A failed look-up of `_mta-sts`, or a policy that
cannot be had: as without a policy, unless one is known (the table in `tlsgate.mta_sts.policies`).

Every answer comes within ANSWER_SECONDS, for a delivery process of Postfix waits for it: what
strangers' servers have not said by then is TEMP.

The map `NOTICES` is for a transport whose default is `secure` instead of `dane`
(tlsgate.render.notices): there the first row's answer is `dane-only`.

Before it, a map of another name, `partners-<digest>`: the partner rules of the gateway's own
generation, for what its static table does not answer. By the clock, for rules that end. For a
subdomain of a partner, because Postfix asks every table for the whole name before it asks any for
`.parent`: an MTA-STS answer would take the partner's rule away. TEMP to a digest that is not
known here: Postfix and this helper have different generations, and the mail waits until they meet.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from postfix_mta_sts_resolver import netstring
from postfix_mta_sts_resolver.responder import STSSocketmapResponder
from postfix_mta_sts_resolver.utils import populate_cfg_defaults

from tlsgate.dns.dane import DomainDane, domain_dane
from tlsgate.dns.lookups import DnsLookups, LookupFailure
from tlsgate.mta_sts.policies import StsPolicies, Undecided
from tlsgate.mta_sts.policy import ENFORCE, StsPolicy
from tlsgate.policy.contract import NOTICES, PARTNERS
from tlsgate.policy.rules import Rules

ANSWER_SECONDS = 3.0
"""Enough for honest servers, far away ones too; and a flood of mail to servers that hang holds each
delivery process no longer than this."""

STATUS = "status"
"""The map whose only answer says how things are (`python3 -m tlsgate.policy status`)."""

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


def choose(dane: DomainDane, sts_answer: bytes) -> bytes:
    """The answer, from what DANE says and what MTA-STS would answer (the table above)."""
    enforced = sts_answer != NOT_FOUND
    if dane is DomainDane.COMPLETE or (dane is DomainDane.UNKNOWN and not enforced):
        return NOT_FOUND
    if dane is DomainDane.PARTIAL:
        return DANE_ONLY if enforced else NOT_FOUND
    if dane is DomainDane.NONE:
        return sts_answer
    return temporary("TLSA look-up failed at an MX host of the domain")


def sts_answer(domain: str, policy: StsPolicy | None) -> bytes:
    """`secure` with the names of a policy that enforces (postconf(5), smtp_tls_policy_maps).

    The attributes that are for TLS-RPT also turn on Postfix's check of the MX hosts' names.
    """
    if policy is None or policy.mode != ENFORCE:
        return NOT_FOUND
    words = [
        "OK secure match=" + ":".join(pattern.removeprefix("*") for pattern in policy.mx),
        f"servername=hostname policy_type=sts policy_domain={domain}",
        *(f"mx_host_pattern={pattern}" for pattern in policy.mx),
        *(f"{{ policy_string = {line} }}" for line in policy.lines()),
    ]
    return bytes(netstring.encode(" ".join(words).encode("ascii")))


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

    `rules`: the partner rules by their digest, None for those that are not known. `seconds`: the
    bound of an answer.
    """

    def __init__(
        self,
        lookups: DnsLookups,
        policies: StsPolicies,
        rules: Callable[[str], Awaitable[Rules | None]] = no_rules,
        seconds: float = ANSWER_SECONDS,
    ) -> None:
        cfg: dict[str, Any] = populate_cfg_defaults({})
        super().__init__(cfg, asyncio.get_running_loop(), cache=None)
        self._lookups = lookups
        self._policies = policies
        self._rules = rules
        self._seconds = seconds

    async def process_request(self, raw_req: bytes) -> bytes:
        """One request `<map name> <key>` to one netstring."""
        name, space, key = raw_req.decode("utf-8", "replace").partition(" ")
        if name.startswith(PARTNERS):
            rules = await self._rules(name.removeprefix(PARTNERS))
            return partner_answer(rules, key, datetime.now(UTC))
        if name == STATUS:
            return bytes(netstring.encode(b"OK " + json.dumps(self._policies.status()).encode()))
        domain = mail_domain(key) if space else None
        return NOT_FOUND if domain is None else await self._query(domain, name)

    async def _query(self, domain: str, name: str) -> bytes:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._seconds
        try:
            async with asyncio.timeout_at(deadline):
                dane = await domain_dane(self._lookups, domain)
            if dane in {DomainDane.COMPLETE, DomainDane.FAILED}:
                answer = choose(dane, NOT_FOUND)
                return DANE_ONLY if name == NOTICES and answer == NOT_FOUND else answer
            policy = await self._policies.policy(domain, max(0.0, deadline - loop.time()))
        except LookupFailure as failure:
            return temporary(f"look-up failed: {failure}")
        except TimeoutError:
            return temporary(f"look-ups for {domain} took more than {self._seconds:.0f} s")
        except Undecided as reason:
            return temporary(str(reason))
        return choose(dane, sts_answer(domain, policy))
