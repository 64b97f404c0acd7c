"""The switch to a new generation, proven by the servers themselves, or undone.

current → the new one, and `before` names the old one until the servers show the new certificate.
If they do not, the old one is served again and the new one stays staged: the next attempt needs
no order. A process that is killed in between leaves `before`, and the next one proves or undoes.
"""

from __future__ import annotations

from tlsgate.acme.config.agent_json import Wanted
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.gateway.generations import Generation, Store
from tlsgate.acme.gateway.tls_probe import Servers
from tlsgate.events import emit


class Switch:
    """Switches certificates."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    def switch(self, wanted: Wanted, store: Store, staged: Generation) -> None:
        """Raises AcmeFault after it went back to the generation from before.

        Without a certificate from before, or without a server that runs, there is nothing to
        break and nobody to ask: then the checks alone count.
        """
        probe, first = wanted.probe, store.current() is None
        provable = probe is not None and not first and self._servers.answer(probe, wanted.names[0])
        store.switch(staged)
        emit("switch", certificate=wanted.name, generation=staged.id)
        if provable:
            self.prove(wanted, store)
            return
        if probe is not None and not first:
            emit("unproven", certificate=wanted.name, reason=f"{probe} shows no certificate")
        store.proven()

    def prove(self, wanted: Wanted, store: Store) -> None:
        """Nothing to do where no switch is undecided. Raises AcmeFault, as `switch` does."""
        before, current = store.unproven(), store.current()
        if before is None or current is None:
            return
        fault = self._fault(wanted, current)
        if fault is None:
            store.proven()
            emit("proven", certificate=wanted.name, generation=current.id)
            return
        store.revert()
        emit("switched-back", certificate=wanted.name, generation=before.id, reason=fault)
        again = self._fault(wanted, before)
        state = "and is shown" if again is None else f"but {again}"
        raise AcmeFault(
            f"the new certificate is not served: {fault}. The one before is back in its place, "
            f"{state}",
            "Look at the log of the server that should show it. The new certificate is kept and "
            "tried again",
        )

    def _fault(self, wanted: Wanted, generation: Generation) -> str | None:
        if wanted.probe is None:
            return None
        return self._servers.fault(wanted.probe, wanted.names[0], generation.chain)
