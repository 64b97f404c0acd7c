"""The CA's renewal information for each certificate: asked for, and kept on the state volume."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from random import random as uniform

from tlsgate.acme.ca.renewal_info import certificate_id
from tlsgate.acme.certificate import ChainFault, Facts, facts
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.orders.authorities import CertificateAuthorities
from tlsgate.acme.orders.request import Issued
from tlsgate.acme.renewal import ari
from tlsgate.acme.renewal.decision import renewal_time
from tlsgate.clock import Clock
from tlsgate.events import emit
from tlsgate.state import StateMap

_FORGOTTEN = timedelta(days=30)


class RenewalInfo:
    """renewals.json; read at each use, since a job and the agent both write it."""

    def __init__(self, path: Path, clock: Clock, random: ari.Random = uniform) -> None:
        loss = "The CAs are asked again when to renew."
        self._advice = StateMap(path, ari.Advice, loss=loss)
        self._clock = clock
        self._random = random

    def time(self, chain: bytes) -> datetime:
        """When this certificate is to be renewed; no network. Raises ChainFault."""
        found = facts(chain)
        own = renewal_time(found.not_before, found.not_after, found.serial)
        return ari.renewal(self.advice(chain), own)

    def advice(self, chain: bytes) -> ari.Advice | None:
        """What the CA suggested; None if it was not asked yet."""
        identifier = certificate_id(chain)
        return self._advice.get(identifier) if identifier else None

    def forget(self, chain: bytes) -> None:
        """The CA is asked again at the next look."""
        identifier = certificate_id(chain)
        if identifier is not None:
            self._advice.put(identifier, None)

    def refresh(self, served: Issued, cas: CertificateAuthorities) -> None:
        """Asks the CA that issued it, if it is time to. No fault here delays a renewal."""
        now = self._clock()
        try:
            found = facts(served.chain)
        except ChainFault:
            return
        identifier = certificate_id(served.chain)
        if identifier is None or now > found.not_after:
            return  # RFC 9773, section 4.3: an expired certificate is not asked about
        before = self._advice.get(identifier)
        if not ari.should_ask(before, now):
            return
        advice = self._answer(cas, served.meta.directory, identifier, found, before)
        # The chosen time is saved before anything is done about it.
        self._advice.put(identifier, advice, lambda one: one.next_look > now - _FORGOTTEN)
        _tell(found, before, advice)

    def _answer(
        self,
        cas: CertificateAuthorities,
        directory: str,
        identifier: str,
        found: Facts,
        before: ari.Advice | None,
    ) -> ari.Advice:
        now = self._clock()
        try:
            suggestion = cas.suggestion(directory, identifier)
        except AcmeFault as fault:
            return ari.after_error(before, fault.reason, fault.retry_at, now)
        if suggestion is None:
            return ari.without_support(now)
        validity = found.not_before, found.not_after
        return ari.after_answer(before, suggestion, validity, now, self._random)


def _tell(found: Facts, before: ari.Advice | None, advice: ari.Advice) -> None:
    """Reports only what is new: the CA is asked several times a day."""
    if before and (before.chosen, bool(before.error)) == (advice.chosen, bool(advice.error)):
        return
    window = advice.window
    emit(
        "renewal-info",
        names=list(found.names),
        serial=found.serial,
        chosen=advice.chosen.isoformat() if advice.chosen else None,
        explanation=window.url if window else None,
        error=advice.error,
    )
