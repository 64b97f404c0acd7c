"""One certificate from what is wanted to what is served: look, order, check, publish, switch.

Called under the lock. The old generation is served until the new one is whole, checked, and its
key stands in DNS; nothing is revoked (decision D2).
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from datetime import datetime

from cryptography import x509

from tlsgate.acme import due
from tlsgate.acme.backoff import Failures
from tlsgate.acme.certificate import ChainFault, chain_fault, facts
from tlsgate.acme.config import Config, Wanted
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.keys import Key, KeyFault, new_key, spki_sha256
from tlsgate.acme.paths import Paths
from tlsgate.acme.request import Issued, Obtain, Request
from tlsgate.acme.running import Stopped
from tlsgate.acme.store import Generation, Meta, Store
from tlsgate.events import emit

Publish = Callable[[Sequence[str], str], None]
Clock = Callable[[], datetime]


class Issuer:
    """Brings the configured certificates to what is wanted of them."""

    def __init__(
        self,
        config: Config,
        paths: Paths,
        *,
        roots: Sequence[x509.Certificate],
        obtain: Obtain,
        publish: Publish | None,
        clock: Clock,
    ) -> None:
        """`obtain` orders at the CA; `publish` writes TLSA, None where DNS is not ours to write."""
        self._config = config
        self._paths = paths
        self._roots = roots
        self._obtain = obtain
        self._publish = publish
        self._clock = clock
        self._failures = Failures(paths.failures)

    def reason(self, wanted: Wanted) -> str | None:
        """Why the certificate is to be ordered now; None if it is not."""
        current = self._store(wanted).current()
        order = due.Order(wanted.names, self._config.directory, self._config.profile)
        return due.due(order, self._served(current) if current else None, self._clock())

    def wait_until(self, wanted: Wanted) -> datetime | None:
        """Not to be tried again before this time, because it failed; None if it did not."""
        failure = self._failures.get(_id(wanted))
        return failure.next_try if failure else None

    def attempt(self, wanted: Wanted) -> AcmeFault | None:
        """Orders what is due, or keeps what is served right; returns what went wrong.

        A failure is counted whatever its cause: nothing that fails is tried again at once.
        """
        reason = None
        try:
            reason = self.reason(wanted)
            if reason is None:
                self._keep(wanted)
                return None
            emit("due", certificate=wanted.name, volume=wanted.volume, reason=reason)
            self._issue(wanted)
        except Stopped:
            raise
        except Exception as error:
            fault = _fault(error)
            if reason is None:
                return fault
            failure = self._failures.add(_id(wanted), fault.reason, self._clock(), fault.retry_at)
            emit(
                "alert",
                what=f"certificate {wanted.name} could not be issued",
                reason=fault.reason,
                next=f"attempt {failure.count} failed; next at {failure.next_try.isoformat()}",
            )
            return fault
        self._failures.clear(_id(wanted))
        return None

    def _issue(self, wanted: Wanted) -> None:
        store = self._store(wanted)
        staged = store.staged()
        if staged is None or self._refusal(staged, wanted) is not None:
            staged = self._order(store, wanted)
        if self._publish is not None:
            self._publish(wanted.tlsa, facts(staged.chain).spki_sha256)
        store.switch(staged)
        found = facts(staged.chain)
        emit(
            "certificate",
            certificate=wanted.name,
            volume=wanted.volume,
            generation=staged.id,
            serial=found.serial,
            not_after=found.not_after.isoformat(),
        )

    def _order(self, store: Store, wanted: Wanted) -> Generation:
        current = store.current()
        key = _kept_key(current) or new_key()
        replaced = Issued(current.chain, current.meta) if current else None
        store.begin(key, self._clock())
        try:
            issued = self._obtain(Request(_id(wanted), wanted.names, key, replaced))
            staged = store.complete(issued.chain, issued.meta)
            self._check(staged, wanted)
        except BaseException:
            store.discard()
            raise
        return staged

    def _check(self, staged: Generation, wanted: Wanted) -> None:
        refusal = self._refusal(staged, wanted)
        if refusal is not None:
            raise AcmeFault(
                f"the CA issued a certificate that cannot be served: {refusal}",
                "If the CA is a private one, give its roots as tlsgate:extraCaFile; otherwise tell "
                "the CA. The certificate before stays in service",
            )

    def _keep(self, wanted: Wanted) -> None:
        """Nothing is due: leaves nothing staged, and TLSA as the served key wants it."""
        store = self._store(wanted)
        store.discard()
        current = store.current()
        if current is not None and self._publish is not None:
            self._publish(wanted.tlsa, facts(current.chain).spki_sha256)

    def _refusal(self, generation: Generation, wanted: Wanted) -> str | None:
        """Why a generation may not be served as what is wanted."""
        meta = Meta(self._config.directory, self._config.profile)
        if generation.meta != meta:
            return "it is from another CA, or of another profile, than wanted"
        try:
            found = facts(generation.chain)
        except ChainFault as fault:
            return str(fault)
        if set(found.names) != set(wanted.names):
            return f"its names are {', '.join(found.names)}"
        return self._fault_of(generation, wanted.names)

    def _served(self, current: Generation) -> due.Served | None:
        try:
            found = facts(current.chain)
        except ChainFault:
            return None
        # For the names that it has: that they are the wanted ones is asked separately.
        fault = self._fault_of(current, found.names)
        return due.Served(found, current.meta.directory, current.meta.profile, fault)

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


def _id(wanted: Wanted) -> str:
    return f"{wanted.volume}/{wanted.name}"


def _kept_key(current: Generation | None) -> Key | None:
    """The served key, so that TLSA and pins stay right; None if there is none to go on with."""
    try:
        return current.key() if current else None
    except KeyFault:
        return None


def _fault(error: Exception) -> AcmeFault:
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
