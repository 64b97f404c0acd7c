"""Renews one certificate: decides, orders, checks, publishes TLSA, and puts it in service.

Called under the lock. The old generation is served until the new one is whole and checked and its
key is published in DNS; it is served again if the servers do not take up the new one. Nothing is
revoked here (decision D2).
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from datetime import datetime

from cryptography import x509

from tlsgate.acme.certificate import ChainFault, Meta, chain_fault, facts
from tlsgate.acme.config.agent_json import Config, WantedCertificate
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.gateway.generations import CertificateGeneration, CertificateStore
from tlsgate.acme.gateway.install import Installer
from tlsgate.acme.keys import Key, KeyFault, new_key, spki_sha256
from tlsgate.acme.orders.authorities import CertificateAuthorities
from tlsgate.acme.orders.request import Issued, Request
from tlsgate.acme.process import Stopped
from tlsgate.acme.renewal.decision import Requirements, Served, reason_to_order
from tlsgate.acme.renewal.failures import Failures
from tlsgate.acme.renewal.forced import ForcedRenewals
from tlsgate.acme.renewal.renewal_info import RenewalInfo
from tlsgate.acme.renewal.turns import next_turn
from tlsgate.acme.rollover import state_machine
from tlsgate.acme.rollover.roller import Roller
from tlsgate.acme.state.paths import Paths
from tlsgate.clock import Clock
from tlsgate.events import emit


class Renewer:
    """Renews the configured certificates."""

    def __init__(
        self,
        config: Config,
        paths: Paths,
        *,
        roots: Sequence[x509.Certificate],
        cas: CertificateAuthorities,
        renewals: RenewalInfo,
        roller: Roller,
        installer: Installer,
        clock: Clock,
    ) -> None:
        """`renewals`: what the CAs suggest; `roller`: publishes keys."""
        self._config = config
        self._paths = paths
        self._roots = roots
        self._cas = cas
        self._renewals = renewals
        self._installer = installer
        self._clock = clock
        self._failures = Failures(paths.failures)
        self._forced = ForcedRenewals(paths.forced)
        self.roller = roller

    def reason(self, wanted: WantedCertificate) -> str | None:
        """Why the certificate is to be ordered now; None if it is not."""
        current = self._store(wanted).current()
        requirements = Requirements(wanted.names, self._config.issuers)
        reason = reason_to_order(
            requirements, self._served(current) if current else None, self._clock()
        )
        if reason is None and current is not None:
            if self._forced.get(wanted.id) == current.id:
                return "a person asked for its renewal"
            if state_machine.key_to_order(self.roller.state(wanted)) is not None:
                return "its key is rolled over"
        return reason

    def wait_until(self, wanted: WantedCertificate) -> datetime | None:
        """The time of the next attempt after a failure; None if the last attempt succeeded."""
        failure = self._failures.get(wanted.id)
        return failure.next_try if failure else None

    def attempt(self, wanted: WantedCertificate) -> AcmeFault | None:
        """Orders what is due, or keeps what is served in order; returns what went wrong.

        A failure is counted whatever its cause: nothing that fails is tried again at once.
        """
        reason = None
        try:
            reason = self._unconfirmed_switch(wanted) or self._reason_after_asking(wanted)
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

    def roll(self, wanted: WantedCertificate) -> AcmeFault | None:
        """Advances the key's roll-over as far as possible now; begins one that is due."""
        try:
            self.roller.begin_due(wanted)
            self.roller.advance(wanted)
        except Stopped:
            raise
        except Exception as error:
            return fault_of(error)
        return None

    def _unconfirmed_switch(self, wanted: WantedCertificate) -> str | None:
        """An interrupted switch that has to be confirmed or undone."""
        unconfirmed = self._store(wanted).unconfirmed() is not None
        return "a switch was interrupted before it was confirmed" if unconfirmed else None

    def _reason_after_asking(self, wanted: WantedCertificate) -> str | None:
        self._cas.update_contacts()
        current = self._store(wanted).current()
        if current is not None:
            self._renewals.refresh(Issued(current.chain, current.meta), self._cas)
        return self.reason(wanted)

    def _count(self, wanted: WantedCertificate, fault: AcmeFault) -> None:
        failure = self._failures.add(wanted.id, fault, self._clock(), self._config.turns)
        emit(
            "alert",
            what=f"certificate {wanted.name} could not be issued",
            reason=fault.reason,
            next=f"attempt {failure.count} failed; next at {failure.next_try.isoformat()}",
        )

    def _issue(self, wanted: WantedCertificate) -> None:
        store = self._store(wanted)
        self._installer.confirm(wanted, store)
        if self.reason(wanted) is None:
            self._keep(wanted)  # the interrupted switch was all that was due
            return
        key = self._key(store, wanted)
        staged = store.staged()
        if staged is None or self._refusal(staged, wanted, key) is not None:
            staged = self._order(store, wanted, key)
        self.roller.publish(wanted, also=facts(staged.chain).spki_sha256)
        self._installer.install(wanted, store, staged)
        found = facts(staged.chain)
        emit(
            "certificate",
            certificate=wanted.name,
            volume=wanted.volume,
            generation=staged.id,
            serial=found.serial,
            not_after=found.not_after.isoformat(),
        )

    def _key(self, store: CertificateStore, wanted: WantedCertificate) -> Key:
        """The served key, so that TLSA and pins stay valid, or the next key of a roll-over.

        Another one if there is none to continue with: the one that is already published, if any.
        """
        next_key = store.next_key()
        wanted_key = state_machine.key_to_order(self.roller.state(wanted))
        if next_key is not None and wanted_key == spki_sha256(next_key.public_key()):
            return next_key
        return _kept_key(store.current()) or next_key or store.unfinished_key() or new_key()

    def _order(
        self, store: CertificateStore, wanted: WantedCertificate, key: Key
    ) -> CertificateGeneration:
        current = store.current()
        made = store.key_made(key) or self._clock()
        replaced = Issued(current.chain, current.meta) if current else None
        store.begin(key, self._clock())
        # A failure here leaves the key in place: the CA may still issue for it.
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
            "the CA. The previous certificate stays in service",
        )

    def _turn(self, wanted: WantedCertificate) -> str:
        """The directory of the CA to ask now. Raises AcmeFault while a CA wants no request."""
        now = self._clock()
        failure = self._failures.get(wanted.id)
        count, holds = (failure.count, failure.holds) if failure else (0, {})
        turn = next_turn(self._config.turns, count, holds, now)
        if turn.at > now:
            fault = AcmeFault(
                f"not asked: the CA at {turn.directory} allows no request before "
                f"{turn.at:%Y-%m-%d %H:%M:%S} UTC\n{failure.reason if failure else ''}".rstrip(),
                "Wait; the agent then continues automatically",
                turn.at,
                untried=True,
            )
            fault.directory = turn.directory
            raise fault
        return turn.directory

    def _keep(self, wanted: WantedCertificate) -> None:
        """Nothing is due: deletes what is staged, and publishes TLSA for the served key."""
        self._store(wanted).discard()
        self.roller.publish(wanted)

    def _refusal(
        self, generation: CertificateGeneration, wanted: WantedCertificate, key: Key
    ) -> str | None:
        """Why a generation may not be put in service."""
        if generation.meta not in self._config.issuers:
            return "its CA or its profile is not the wanted one"
        try:
            found = facts(generation.chain)
        except ChainFault as fault:
            return str(fault)
        if set(found.names) != set(wanted.names):
            return f"its names are {', '.join(found.names)}"
        if found.spki_sha256 != spki_sha256(key.public_key()):
            return "its key is not the key stored with it"
        return self._fault_of(generation, wanted.names)

    def _served(self, current: CertificateGeneration) -> Served | None:
        try:
            found = facts(current.chain)
        except ChainFault:
            return None
        # For the names that it has: whether they are the wanted ones is checked separately.
        fault = self._fault_of(current, found.names)
        return Served(found, current.meta, fault, self._renewals.time(current.chain))

    def _fault_of(self, generation: CertificateGeneration, names: Sequence[str]) -> str | None:
        try:
            key = spki_sha256(generation.key().public_key())
        except KeyFault as fault:
            return str(fault)
        if key != facts(generation.chain).spki_sha256:
            return "its key is not the key stored with it"
        return chain_fault(generation.chain, names, self._roots, self._clock())

    def _store(self, wanted: WantedCertificate) -> CertificateStore:
        return CertificateStore(self._paths.certificate(wanted.volume, wanted.name))


def fault_of(error: Exception) -> AcmeFault:
    """Any error as an AcmeFault."""
    if isinstance(error, AcmeFault):
        return error
    if isinstance(error, KeyFault):
        return AcmeFault(str(error), "Restore the volume, or remove the key to get a new one")
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return AcmeFault(
            f"a file cannot be read or written: {where}{error.strerror or error}",
            "Check that the volumes are writable for user 10001 and have free space",
        )
    # A bug must not cause endless orders: it counts as a failure, and its trace is logged.
    trace, report = "".join(traceback.format_exception(error)), "Report this with the trace"
    emit("fault", reason=repr(error), next=f"{report}.", trace=trace)
    return AcmeFault(f"unexpected: {error!r}", f"{report} in the log")


def _kept_key(current: CertificateGeneration | None) -> Key | None:
    try:
        return current.key() if current else None
    except KeyFault:
        return None
