"""Carries out a key roll-over step by step, as `state_machine` decides.

Every effect can be repeated, and the state is written after it: a process that is killed in between
repeats it. What a step needs is on the volumes; nothing is kept in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from tlsgate.acme.certificate import ChainFault, facts
from tlsgate.acme.config.agent_json import Config, WantedCertificate
from tlsgate.acme.gateway.generations import CertificateStore
from tlsgate.acme.keys import spki_sha256
from tlsgate.acme.orders.authorities import CertificateAuthorities
from tlsgate.acme.rollover import state_machine
from tlsgate.acme.rollover.saved import Rollovers
from tlsgate.acme.rollover.state_machine import Event, Rollover, Step
from tlsgate.acme.rollover.tlsa_records import PublishedRecords, Tlsa
from tlsgate.acme.state.paths import Paths
from tlsgate.clock import Clock
from tlsgate.events import emit

SCHEDULE = "schedule"


class Roller:
    """The roll-overs of the configured certificates; called under the lock."""

    def __init__(
        self,
        config: Config,
        paths: Paths,
        tlsa: Tlsa | None,
        cas: CertificateAuthorities,
        clock: Clock,
    ) -> None:
        """`tlsa`: None where DNS is not ours to write."""
        self._config = config
        self._paths = paths
        self._tlsa = tlsa
        self._cas = cas
        self._clock = clock
        self._states = Rollovers(paths.rollovers)

    def state(self, wanted: WantedCertificate) -> Rollover | None:
        """The roll-over under way, as the served key shows it."""
        state = self._states.get(wanted.id)
        served = self._served(wanted)
        if state is None or served is None:
            return state
        return state_machine.observed(state, served, self._clock())

    def publish(self, wanted: WantedCertificate, also: str | None = None) -> None:
        """Publishes TLSA records for the keys that may be served; `also`: one that soon will be."""
        served = self._served(wanted)
        keys = state_machine.published_keys(self.state(wanted), served) if served else ()
        published = tuple(dict.fromkeys((*keys, *([also] if also else []))))
        if self._tlsa is not None and published:
            self._tlsa.publish(wanted.tlsa, published)

    def begin_due(self, wanted: WantedCertificate) -> None:
        """Begins a roll-over that is due by the schedule."""
        current = self._store(wanted).current()
        if current is None or self._states.get(wanted.id) or by_hand(self._config, wanted):
            return
        now = self._clock()
        if state_machine.is_due(current.key_made, self._config.rotate_days, now):
            served = facts(current.chain).spki_sha256
            self._keep(wanted, Rollover(Step.KEY, SCHEDULE, now, served))

    def advance(self, wanted: WantedCertificate) -> None:
        """Takes every step that is possible now. Raises AcmeFault, KeyFault, OSError."""
        before = self._states.get(wanted.id)
        state = self.state(wanted)
        if state is not None:
            key = self._store(wanted).next_key()
            state = state_machine.resumed(state, spki_sha256(key.public_key()) if key else None)
        if state != before:
            self._keep(wanted, state)
        while state is not None:
            self.publish(wanted)
            done = self._do(wanted, state)
            if done is None:
                return
            state = state_machine.next_state(state, *done)
            self._keep(wanted, state)
        if before is not None:
            # A next key that will never be served must not stay.
            self._store(wanted).drop_next_key()
            self.publish(wanted)

    def waits_until(self, wanted: WantedCertificate) -> datetime | None:
        """When the next step can be taken; None if that is not a matter of time."""
        state = self.state(wanted)
        if state is None or state.now:
            return None
        if state.step is Step.SPREAD:
            return self._spread(wanted)
        return (
            state_machine.settled_at(state, self._ttl(wanted))
            if state.step is Step.SETTLE
            else None
        )

    def _do(self, wanted: WantedCertificate, state: Rollover) -> tuple[Event, datetime, str] | None:
        """Does the step: the event, its time, and the new key; None if the step has to wait."""
        now, key = self._clock(), ""
        match state.step:
            case Step.KEY:
                event = Event.MADE
                key = spki_sha256(self._store(wanted).make_next_key().public_key())
            case Step.PUBLISH:
                event = Event.PUBLISHED  # before this, as the state says
            case Step.SPREAD:
                event = Event.SPREAD
                until = self._spread(wanted)
                if not state.now and until is not None and now < until:
                    return None
            case Step.REVOKE:
                event = Event.REVOKED
                self._revoke_all(wanted, state.old, now)
            case Step.SETTLE:
                event = Event.SETTLED
                until = state_machine.settled_at(state, self._ttl(wanted))
                if until is not None and now < until:
                    return None
            case Step.RETIRE:
                event = Event.RETIRED
                self._store(wanted).drop_next_key()
            case Step.HELD:
                self._store(wanted).drop_next_key()
                return None
            case Step.ORDER:
                return None  # the issuer orders and switches
        return event, now, key

    def _revoke_all(self, wanted: WantedCertificate, key: str, now: datetime) -> None:
        """Revokes every kept certificate of that key that is still valid, and deletes them all."""
        store = self._store(wanted)
        for generation in store.past():
            try:
                found = facts(generation.chain)
            except ChainFault:
                continue
            if found.spki_sha256 == key:
                if found.not_after > now:
                    self._cas.revoke(generation)
                store.forget(generation)

    def _spread(self, wanted: WantedCertificate) -> datetime | None:
        return spread_at(PublishedRecords(self._paths.tlsa), wanted.tlsa)

    def _ttl(self, wanted: WantedCertificate) -> timedelta:
        """Of the certificate's TLSA records; none without such records."""
        if self._config.tlsa is None or not wanted.tlsa:
            return timedelta()
        return timedelta(seconds=self._config.tlsa.ttl)

    def _keep(self, wanted: WantedCertificate, state: Rollover | None) -> None:
        self._states.put(wanted.id, state)
        step = state.step.value if state else "done"
        fields = {"reason": state.reason} if state else {}
        emit("rollover", certificate=wanted.name, volume=wanted.volume, step=step, **fields)

    def _served(self, wanted: WantedCertificate) -> str | None:
        current = self._store(wanted).current()
        try:
            return facts(current.chain).spki_sha256 if current else None
        except ChainFault:
            return None

    def _store(self, wanted: WantedCertificate) -> CertificateStore:
        return CertificateStore(self._paths.certificate(wanted.volume, wanted.name))


def by_hand(config: Config, wanted: WantedCertificate) -> bool:
    """Whether a person writes the TLSA records, so that no key can be rolled over from here."""
    return config.tlsa is None and bool(wanted.tlsa)


def spread_at(saved: PublishedRecords, owners: Sequence[str]) -> datetime | None:
    """When no cache holds earlier records: two TTLs after the new ones were seen everywhere.

    None if nothing is saved.
    """
    seen = [one for owner in owners if (one := saved.get(owner)) is not None]
    ends = (max(one.seen + 2 * timedelta(seconds=one.ttl), one.cached_until) for one in seen)
    return max(ends, default=None)
