"""A person's requests: they are saved on the state volume under the lock, and the agent obeys them.

The agent looks for it once a second, so a command returns at once and `status` shows the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from tlsgate.acme.certificate import ChainFault, facts
from tlsgate.acme.config.agent_json import Config, WantedCertificate
from tlsgate.acme.gateway.generations import CertificateGeneration, CertificateStore
from tlsgate.acme.renewal.forced import ForcedRenewals
from tlsgate.acme.renewal.renewal_info import RenewalInfo
from tlsgate.acme.rollover import state_machine
from tlsgate.acme.rollover.roller import by_hand
from tlsgate.acme.rollover.saved import Rollovers
from tlsgate.acme.rollover.state_machine import Rollover, Step
from tlsgate.acme.state.paths import Paths
from tlsgate.clock import Clock
from tlsgate.problems import Problem, ProblemsError

ASKED, COMPROMISED = "a person asked for it", "the key is compromised"


class Operator:
    """Every method returns the lines to print, or raises ProblemsError."""

    def __init__(self, config: Config, paths: Paths, clock: Clock) -> None:
        self._config = config
        self._paths = paths
        self._clock = clock
        self._rollovers = Rollovers(paths.rollovers)
        self._forced = ForcedRenewals(paths.forced)

    def rotate(self, names: Sequence[str], *, now: bool, revoke: bool) -> list[str]:
        """Begins a roll-over of each key, or speeds up the one under way."""
        lines = []
        for wanted, current in self._served(names):
            if by_hand(self._config, wanted):
                raise _refused(
                    wanted,
                    "by-hand",
                    "its TLSA records are not the agent's to write (tlsgate:dns.sink is manual)",
                    "Remove the TLSA records and wait two TTLs; or use dynamic DNS",
                )
            begin = Rollover(
                step=Step.KEY,
                reason=COMPROMISED if revoke else ASKED,
                begun=self._clock(),
                old=facts(current.chain).spki_sha256,
                now=now,
                revoke=revoke,
            )
            state = state_machine.requested(self._rollovers.get(wanted.id), begin)
            self._rollovers.put(wanted.id, state)
            lines += [f"{wanted.name}: the roll-over of its key continues at step {state.step}."]
            lines += self._costs(wanted, state)
        return lines

    def renew(self, names: Sequence[str]) -> list[str]:
        """Has each certificate ordered again with the same key."""
        lines = []
        for wanted, current in self._served(names):
            self._forced.put(wanted.id, current.id)
            lines.append(f"{wanted.name}: is renewed now and keeps its key.")
        return lines

    def look(self, names: Sequence[str]) -> list[str]:
        """Has the CA asked at once when to renew each certificate."""
        lines = []
        for wanted, current in self._served(names):
            RenewalInfo(self._paths.renewals, self._clock).forget(current.chain)
            lines.append(f"{wanted.name}: the CA is now asked when to renew it.")
        return lines

    def undo(self, names: Sequence[str]) -> list[str]:
        """Cancels a roll-over; after its switch, goes back to the previous certificate."""
        return [self._undone(wanted, current) for wanted, current in self._served(names)]

    def _undone(self, wanted: WantedCertificate, current: CertificateGeneration) -> str:
        store, now = self._store(wanted), self._clock()
        served = facts(current.chain).spki_sha256
        state = self._rollovers.get(wanted.id)
        state = state_machine.observed(state, served, now) if state else None
        switched = state is not None and state.step in (Step.REVOKE, Step.SETTLE)
        if state is not None and not switched:
            if state.step in (Step.RETIRE, Step.HELD):
                raise _refused(
                    wanted,
                    "too-late",
                    f"its roll-over is at step {state.step}: nothing can be restored",
                    "Roll over to yet another key with `rotate`",
                )
            self._rollovers.put(wanted.id, state_machine.undone(state, now))
            store.discard()
            return f"{wanted.name}: the roll-over is cancelled; the served key stays."
        if state is not None and state.revoke:
            raise _refused(
                wanted,
                "compromised",
                "the previous key is compromised",
                "Roll over to yet another key with `rotate`",
            )
        key = state.old if state is not None else served
        before = self._before(store, wanted, key, now)
        if state is not None:
            self._rollovers.put(wanted.id, state_machine.undone(state, now))
        store.make_current(before)
        return f"{wanted.name}: back to generation {before.id}, valid until {_end(before)}."

    def _before(
        self, store: CertificateStore, wanted: WantedCertificate, key: str, now: datetime
    ) -> CertificateGeneration:
        """The latest previous generation that matches the TLSA records in DNS."""
        for generation in store.past():
            try:
                found = facts(generation.chain)
            except ChainFault:
                continue
            if found.spki_sha256 == key and found.not_after > now + timedelta(hours=1):
                return generation
        raise _refused(
            wanted,
            "nothing-before",
            "no valid earlier certificate of that key is kept",
            "Order a new one with `renew`, or roll over to another key with `rotate`",
        )

    def _costs(self, wanted: WantedCertificate, state: Rollover) -> list[str]:
        if not state.now or not wanted.tlsa or self._config.tlsa is None:
            return []
        if state.step not in (Step.KEY, Step.PUBLISH, Step.SPREAD):
            return ["  This no longer affects servers that verify DANE."]
        seconds = self._config.tlsa.ttl
        return [
            "  It does not wait for DNS caches. As a result, servers that verify DANE and",
            f"  fetched the TLSA records before reject the new key for up to {seconds} s after the",
            "  switch (the TTL). Their mail waits in their queues; none is lost.",
        ]

    def _served(
        self, names: Sequence[str]
    ) -> Iterator[tuple[WantedCertificate, CertificateGeneration]]:
        """All or nothing: every wrong name is reported before anything is done."""
        found, problems = [], []
        known = {wanted.name: wanted for wanted in self._config.certificates}
        for name in dict.fromkeys(names):
            wanted = known.get(name)
            current = self._store(wanted).current() if wanted else None
            if wanted is not None and current is not None:
                found.append((wanted, current))
                continue
            problems.append(
                Problem(
                    str(self._paths.config),
                    0,
                    name,
                    "no-certificate",
                    "is not issued yet" if wanted else "is not the name of a certificate",
                    f"Certificates here: {', '.join(known)}",
                )
            )
        if problems:
            raise ProblemsError(problems)
        yield from found

    def _store(self, wanted: WantedCertificate) -> CertificateStore:
        return CertificateStore(self._paths.certificate(wanted.volume, wanted.name))


def _refused(wanted: WantedCertificate, code: str, message: str, remedy: str) -> ProblemsError:
    return ProblemsError([Problem("certificate", 0, wanted.name, code, message, remedy)])


def _end(generation: CertificateGeneration) -> str:
    return f"{facts(generation.chain).not_after:%Y-%m-%d %H:%M:%S} UTC"
