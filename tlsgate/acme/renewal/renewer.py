"""One certificate from what is wanted to what is served: look, order, check, publish, switch.

Called under the lock. The old generation is served until the new one is whole, checked, and its
key stands in DNS; and it is served again if the servers do not show the new one. Nothing is
revoked here (decision D2).
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from datetime import datetime

from cryptography import x509

from tlsgate.acme.certificate import ChainFault, Meta, chain_fault, facts
from tlsgate.acme.config.agent_json import Config, Wanted
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.gateway.generations import Generation, Store
from tlsgate.acme.gateway.install import Switch
from tlsgate.acme.keys import Key, KeyFault, new_key, spki_sha256
from tlsgate.acme.orders.authorities import Authorities
from tlsgate.acme.orders.request import Issued, Request
from tlsgate.acme.process import Stopped
from tlsgate.acme.renewal import decision as due
from tlsgate.acme.renewal.failures import Failures
from tlsgate.acme.renewal.forced import Forced
from tlsgate.acme.renewal.renewal_info import Renewals
from tlsgate.acme.renewal.turns import next_turn
from tlsgate.acme.rollover import state_machine as rollover
from tlsgate.acme.rollover.roller import Roller
from tlsgate.acme.state.paths import Paths
from tlsgate.events import emit

Clock = Callable[[], datetime]


class Issuer:
    """Brings the configured certificates to what is wanted of them."""

    def __init__(
        self,
        config: Config,
        paths: Paths,
        *,
        roots: Sequence[x509.Certificate],
        cas: Authorities,
        renewals: Renewals,
        roller: Roller,
        switch: Switch,
        clock: Clock,
    ) -> None:
        """`renewals` knows when the CAs want a renewal; `roller` publishes keys."""
        self._config = config
        self._paths = paths
        self._roots = roots
        self._cas = cas
        self._renewals = renewals
        self._switch = switch
        self._clock = clock
        self._failures = Failures(paths.failures)
        self._forced = Forced(paths.forced)
        self.roller = roller

    def reason(self, wanted: Wanted) -> str | None:
        """Why the certificate is to be ordered now; None if it is not."""
        current = self._store(wanted).current()
        order = due.Order(wanted.names, self._config.issuers)
        reason = due.due(order, self._served(current) if current else None, self._clock())
        if reason is None and current is not None:
            if self._forced.get(wanted.id) == current.id:
                return "a person wants it renewed"
            if rollover.key_wanted(self.roller.state(wanted)) is not None:
                return "its key is rolled over"
        return reason

    def wait_until(self, wanted: Wanted) -> datetime | None:
        """Not to be tried again before this time, because it failed; None if it did not."""
        failure = self._failures.get(wanted.id)
        return failure.next_try if failure else None

    def attempt(self, wanted: Wanted) -> AcmeFault | None:
        """Orders what is due, or keeps what is served right; returns what went wrong.

        A failure is counted whatever its cause: nothing that fails is tried again at once.
        """
        reason = None
        try:
            reason = self._undecided(wanted) or self._asked(wanted)
            if reason is None:
                self._keep(wanted)
                return None
            emit("due", certificate=wanted.name, volume=wanted.volume, reason=reason)
            self._issue(wanted)
        except Stopped:
            raise
        except Exception as error:
            fault = fault_of(error)
            if reason is not None:
                self._count(wanted, fault)
            return fault
        self._failures.clear(wanted.id)
        self._forced.put(wanted.id, None)
        return None

    def roll(self, wanted: Wanted) -> AcmeFault | None:
        """Takes the key's roll-over as far as can be now; begins one that the schedule wants."""
        try:
            self.roller.begin_due(wanted)
            self.roller.advance(wanted)
        except Stopped:
            raise
        except Exception as error:
            return fault_of(error)
        return None

    def _undecided(self, wanted: Wanted) -> str | None:
        """A switch that was cut short."""
        unproven = self._store(wanted).unproven() is not None
        return "a switch was cut short before it was proven" if unproven else None

    def _asked(self, wanted: Wanted) -> str | None:
        self._cas.tend()
        current = self._store(wanted).current()
        if current is not None:
            self._renewals.look(Issued(current.chain, current.meta), self._cas)
        return self.reason(wanted)

    def _count(self, wanted: Wanted, fault: AcmeFault) -> None:
        failure = self._failures.add(wanted.id, fault, self._clock(), self._config.turns)
        emit(
            "alert",
            what=f"certificate {wanted.name} could not be issued",
            reason=fault.reason,
            next=f"attempt {failure.count} failed; next at {failure.next_try.isoformat()}",
        )

    def _issue(self, wanted: Wanted) -> None:
        store = self._store(wanted)
        self._switch.prove(wanted, store)
        if self.reason(wanted) is None:
            self._keep(wanted)  # what was cut short was all that was due
            return
        key = self._key(store, wanted)
        staged = store.staged()
        if staged is None or self._refusal(staged, wanted, key) is not None:
            staged = self._order(store, wanted, key)
        self.roller.publish(wanted, also=facts(staged.chain).spki_sha256)
        self._switch.switch(wanted, store, staged)
        found = facts(staged.chain)
        emit(
            "certificate",
            certificate=wanted.name,
            volume=wanted.volume,
            generation=staged.id,
            serial=found.serial,
            not_after=found.not_after.isoformat(),
        )

    def _key(self, store: Store, wanted: Wanted) -> Key:
        """The served key, so that TLSA and pins stay right, or the one that a roll-over wants.

        Another one if there is none to go on with: the one that is published already, if there is.
        """
        next_key = store.next_key()
        wish = rollover.key_wanted(self.roller.state(wanted))
        if next_key is not None and wish == spki_sha256(next_key.public_key()):
            return next_key
        return _kept_key(store.current()) or next_key or store.begun_key() or new_key()

    def _order(self, store: Store, wanted: Wanted, key: Key) -> Generation:
        current = store.current()
        made = store.key_made(key) or self._clock()
        replaced = Issued(current.chain, current.meta) if current else None
        store.begin(key, self._clock())
        # What fails here leaves the key where it is: the CA may still be about to issue for it.
        issued = self._cas.obtain(self._turn(wanted), Request(wanted.names, key, replaced))
        meta = Meta(issued.meta.directory, issued.meta.profile, made)
        staged = store.complete(issued.chain, meta)
        refusal = self._refusal(staged, wanted, key)
        if refusal is None:
            return staged
        store.discard()
        raise AcmeFault(
            f"the CA issued a certificate that cannot be served: {refusal}",
            "If the CA is a private one, give its roots as tlsgate:extraCaFile; otherwise tell "
            "the CA. The certificate before stays in service",
        )

    def _turn(self, wanted: Wanted) -> str:
        """The directory of the CA to ask now. Raises AcmeFault while a CA wants no request."""
        now = self._clock()
        failure = self._failures.get(wanted.id)
        count, holds = (failure.count, failure.holds) if failure else (0, {})
        turn = next_turn(self._config.turns, count, holds, now)
        if turn.at > now:
            fault = AcmeFault(
                f"not asked: the CA at {turn.directory} said, not before "
                f"{turn.at:%Y-%m-%d %H:%M:%S} UTC\n{failure.reason if failure else ''}".rstrip(),
                "Wait; the agent goes on by itself then",
                turn.at,
                untried=True,
            )
            fault.directory = turn.directory
            raise fault
        return turn.directory

    def _keep(self, wanted: Wanted) -> None:
        """Nothing is due: leaves nothing staged, and TLSA as the served key wants it."""
        self._store(wanted).discard()
        self.roller.publish(wanted)

    def _refusal(self, generation: Generation, wanted: Wanted, key: Key) -> str | None:
        """Why a generation may not be served as what is wanted."""
        if generation.meta not in self._config.issuers:
            return "it is from another CA, or of another profile, than wanted"
        try:
            found = facts(generation.chain)
        except ChainFault as fault:
            return str(fault)
        if set(found.names) != set(wanted.names):
            return f"its names are {', '.join(found.names)}"
        if found.spki_sha256 != spki_sha256(key.public_key()):
            return "its key is not the one beside it"
        return self._fault_of(generation, wanted.names)

    def _served(self, current: Generation) -> due.Served | None:
        try:
            found = facts(current.chain)
        except ChainFault:
            return None
        # For the names that it has: that they are the wanted ones is asked separately.
        fault = self._fault_of(current, found.names)
        return due.Served(found, current.meta, fault, self._renewals.time(current.chain))

    def _fault_of(self, generation: Generation, names: Sequence[str]) -> str | None:
        try:
            key = spki_sha256(generation.key().public_key())
        except KeyFault as fault:
            return str(fault)
        if key != facts(generation.chain).spki_sha256:
            return "its key is not the one beside it"
        return chain_fault(generation.chain, names, self._roots, self._clock())

    def _store(self, wanted: Wanted) -> Store:
        return Store(self._paths.certificate(wanted.volume, wanted.name))


def fault_of(error: Exception) -> AcmeFault:
    """Whatever went wrong, in words."""
    if isinstance(error, AcmeFault):
        return error
    if isinstance(error, KeyFault):
        return AcmeFault(str(error), "Restore the volume, or remove the key to get a new one")
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return AcmeFault(
            f"a file cannot be written: {where}{error.strerror or error}",
            "See that the volumes are mounted writable for user 10001 and have room",
        )
    # A bug must not become a loop that orders without end: it counts as a failure, with its trace.
    emit("fault", trace="".join(traceback.format_exception(error)))
    return AcmeFault(f"unexpected: {error!r}", "Report this with the trace in the log")


def _kept_key(current: Generation | None) -> Key | None:
    try:
        return current.key() if current else None
    except KeyFault:
        return None
