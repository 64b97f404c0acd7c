"""The policy service that knows the partners' dated and observed rules (decisions D16, D17).

Postfix asks it only about domains that the partner maps send here, and says in `policy_context`
what it asks about, and under which rules:

| context                   | asked | answer                                                 |
| ------------------------- | ----- | ------------------------------------------------------ |
| enforce-<digest>          | of the sender | DUNNO, or 450 with the reason; 450 for a digest |
|                           |       | that is not known here                                 |
| observe-inbound-<digest>  | of the sender | DUNNO; what enforce would say is counted        |
| observe-outbound-<digest> | of a recipient | DUNNO; what would happen to the mail is counted |
| null-sender-<digest>     | of <> | DUNNO, or 450 to a partner's MX host in plaintext; 450 in   |
|                          |       | plaintext also while those are not known                    |

If it does not answer, or its answer is invalid, Postfix defers
(smtpd_policy_service_default_action): when it is down, mail is answered with 4xx, except what is
only observed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from tlsgate.events import emit
from tlsgate.policy.address_book import AddressBook
from tlsgate.policy.contract import ENFORCE, NULL_SENDER, OBSERVE_INBOUND, OBSERVE_OUTBOUND
from tlsgate.policy.delegation import (
    REQUEST_LIMIT,
    MalformedRequest,
    Request,
    answer,
    parse_request,
)
from tlsgate.policy.identities import (
    DUNNO,
    NOT_LISTED,
    IdentityIndex,
    Verdict,
    decide,
    verify,
)
from tlsgate.policy.null_sender import decide_null_sender
from tlsgate.policy.observations import INBOUND, Observations
from tlsgate.policy.observed_mail import ObservedMail
from tlsgate.policy.rules import Rules

IDLE_SECONDS = 1200.0
"""Postfix closes a connection itself after smtpd_policy_service_max_ttl, 1000 s."""
# Each of Postfix's 400 smtpd processes may hold four.
MAX_CONNECTIONS = 2000


class PartnerService:
    """Serves connections; `rules` gives the partner rules by their digest."""

    def __init__(
        self,
        rules: Callable[[str], Awaitable[Rules | None]],
        observations: Observations,
        observed_mail: ObservedMail,
        book: AddressBook,
    ) -> None:
        self._rules = rules
        self._observations = observations
        self._observed_mail = observed_mail
        self._book = book
        self._connections = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: any number of requests, one after the other."""
        if self._connections >= MAX_CONNECTIONS:
            writer.close()
            return
        self._connections += 1
        try:
            while True:
                block = await asyncio.wait_for(reader.readuntil(b"\n\n"), IDLE_SECONDS)
                writer.write(answer(await self._answer(parse_request(block[:-2]))))
                await writer.drain()
        except MalformedRequest as fault:
            _refuse(str(fault))
        except asyncio.LimitOverrunError:
            _refuse(f"over {REQUEST_LIMIT} octets")
        except (asyncio.IncompleteReadError, TimeoutError, ConnectionError):
            pass  # the client has gone, as it may between two requests
        finally:
            self._connections -= 1
            writer.close()

    async def _answer(self, request: Request) -> str:
        context, _, digest = request.context.rpartition("-")
        rules = await self._rules(digest)
        now = datetime.now(UTC)
        if context == OBSERVE_INBOUND:
            if rules is not None:
                self._count_inbound(rules.identities, request, now)
            return DUNNO
        if context == OBSERVE_OUTBOUND:
            if rules is not None:
                self._count_outbound(rules, request, now)
            return DUNNO
        if context == NULL_SENDER and rules is None and request.encrypted:
            return DUNNO
        if rules is None or context not in {ENFORCE, NULL_SENDER}:
            verdict = Verdict(NOT_LISTED, "", "no-rules", "its rules are not known here")
        elif context == ENFORCE:
            verdict = decide(rules.identities, request, now)
        else:
            verdict = self._null_sender(rules, request, now)
        return self._log_and_answer(verdict, request)

    def _null_sender(self, rules: Rules, request: Request, now: datetime) -> Verdict:
        domains = self._book.at(request.client)
        owners = (rules.null_senders[name] for name in domains if name in rules.null_senders)
        return decide_null_sender(owners, request, now, complete=self._book.complete)

    def _log_and_answer(self, verdict: Verdict, request: Request) -> str:
        if verdict.reason:
            emit(
                "refused",
                partner=verdict.partner,
                domain=request.sender_domain,
                client=str(request.client),
                reason=verdict.reason,
                next="The sender tries again, and is accepted once it meets the partner's record.",
            )
        return verdict.action

    def _count_inbound(self, index: IdentityIndex, request: Request, now: datetime) -> None:
        if request.sender_domain:
            found, _ = index.find(request.sender_domain)
            partners = [found] if found is not None and found.observe else []
        else:
            partners = list(index.at(request.client, observe=True))
        for one in partners:
            if self._observations.is_new(request.message, one.domain):
                reason = verify(one, request, now).code
                self._observations.count(one.partner, INBOUND, reason)

    def _count_outbound(self, rules: Rules, request: Request, now: datetime) -> None:
        domain = request.recipient_domain
        rule = rules.destination(domain) if domain else None
        if rule is None or not rule.observe or not domain:
            return
        if self._observations.is_new(request.message, domain):
            self._observed_mail.message(rule.partner, domain, rule.at(now))


def _refuse(reason: str) -> None:
    emit(
        "alert",
        what="policy request refused",
        reason=reason,
        next="Postfix answers the mail with 4xx, and it is tried again. Only Postfix may ask here.",
    )
