"""Puts a new generation in service: the servers confirm it, or the switch is undone.

current → the new one, and `before` names the old one until the servers show the new certificate.
If they do not, the old one is served again and the new one stays staged: the next attempt needs
no order. A process that is killed in between leaves `before`, and the next one proves or undoes.
"""

from __future__ import annotations

from tlsgate.acme.config.agent_json import WantedCertificate
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.gateway.generations import CertificateGeneration, CertificateStore
from tlsgate.acme.gateway.tls_probe import Servers
from tlsgate.events import emit


class Installer:
    """Puts certificates in service."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    def install(
        self, wanted: WantedCertificate, store: CertificateStore, staged: CertificateGeneration
    ) -> None:
        """Raises AcmeFault after it went back to the previous generation.

        Without a certificate from before, or without a server that runs, there is nothing to
        break and nobody to ask: then the checks alone count.
        """
        probe, first = wanted.probe, store.current() is None
        provable = probe is not None and not first and self._servers.answer(probe, wanted.names[0])
        store.make_current(staged)
        emit("switch", certificate=wanted.name, generation=staged.id)
        if provable:
            self.confirm(wanted, store)
            return
        if probe is not None and not first:
            emit(
                "unproven",
                certificate=wanted.name,
                reason=f"{probe} serves no certificate",
                next="The new certificate stays. Check that its server runs.",
            )
        store.confirm()

    def confirm(self, wanted: WantedCertificate, store: CertificateStore) -> None:
        """Does nothing where no switch is unconfirmed. Raises AcmeFault, as `install` does."""
        before, current = store.unconfirmed(), store.current()
        if before is None or current is None:
            return
        fault = self._fault(wanted, current)
        if fault is None:
            store.confirm()
            emit("proven", certificate=wanted.name, generation=current.id)
            return
        store.revert()
        emit(
            "switched-back",
            certificate=wanted.name,
            generation=before.id,
            reason=fault,
            next="The certificate before is served. The new one is kept and tried again.",
        )
        again = self._fault(wanted, before)
        state = "and is served" if again is None else f"but {again}"
        raise AcmeFault(
            f"the new certificate is not served: {fault}. The previous certificate is back in its "
            f"place, {state}",
            "Look at the log of the server that should show it. The new certificate is kept and "
            "tried again",
        )

    def _fault(self, wanted: WantedCertificate, generation: CertificateGeneration) -> str | None:
        if wanted.probe is None:
            return None
        return self._servers.fault(wanted.probe, wanted.names[0], generation.chain)
