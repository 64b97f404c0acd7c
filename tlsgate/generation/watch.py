"""The watcher beside a server: puts new generations and certificates in force, or says why not.

The server reads from a tmpfs what the watcher put there: `active`, a symlink to a generation,
and `tls/<name>.pem`, key and chain in one file. Everything is replaced as a whole, so that a
server that starts at any moment finds a configuration that fits together.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

from tlsgate.events import emit
from tlsgate.files import link_target, point, read_entries, write, write_json
from tlsgate.generation import certificate, requirements
from tlsgate.generation.certificate import CertificateFault
from tlsgate.generation.manifest import ID_LENGTH, MANIFEST, Refused, verify
from tlsgate.generation.next_step import (
    Alert,
    NextStep,
    VolumeState,
    WantedGeneration,
    next_step,
    refused,
)
from tlsgate.generation.paths import Paths
from tlsgate.generation.servers import ServerProgram

POLL_SECONDS = 1.0
STARTING_SECONDS = 15.0
"""How long a reload may fail without an alert: the server may still be starting."""
_INCLUDE = "include {};\n"
_ID = re.compile(rf"[0-9a-f]{{{ID_LENGTH}}}")

Stamp = tuple[object, ...]
_STARTED_AGAIN = "The container ends and is started again."
_EVERY_SECOND = "It is tried again every second."


class Watcher:
    """Follows the volumes of one server."""

    def __init__(self, paths: Paths, program: ServerProgram) -> None:
        self._paths = paths
        self._program = program
        self._active: WantedGeneration | None = None
        self._active_stamp: Stamp | None = None
        self._looked: Stamp | None = None
        self._reload_due = False
        self._reload_fails_since: float | None = None
        self._alerted: set[Alert] = set()

    def start(self) -> bool:
        """Finds a generation to serve; False if there is none.

        The one in force before this process; otherwise the current one, or the last that was.
        """
        try:
            return self._find()
        except OSError as fault:
            self._report([Alert("the volumes cannot be read", str(fault), _STARTED_AGAIN)])
            return False

    def _find(self) -> bool:
        (self._paths.run / "tls").mkdir(mode=0o700, parents=True, exist_ok=True)
        in_force = link_target(self._paths.active)
        if in_force is not None:
            self._active = self._wanted(in_force)
            return True
        alerts: list[Alert] = []
        for candidate in self._start_candidates():
            decision = self._evaluate(candidate)
            alerts += decision.alerts
            if decision.take is not None:
                self._report(alerts)
                self._apply(decision)
                self._reload_due = False
                return True
        none = Alert(
            "no generation to serve",
            f"nothing under {self._paths.config} checks out",
            f"{_STARTED_AGAIN} Run `pulumi up`, which delivers one.",
        )
        self._report([*alerts, none])
        return False

    def run(self) -> None:
        """Looks every second, for ever."""
        while True:
            self._paths.heartbeat.touch()
            try:
                self.step()
            except OSError as fault:
                self._report([Alert("the volumes cannot be read", str(fault), _EVERY_SECOND)])
            time.sleep(POLL_SECONDS)

    def step(self) -> None:
        """One look."""
        stamp = self._stamp()
        if stamp != self._looked:
            self._looked = stamp
            name = link_target(self._paths.current)
            candidate: WantedGeneration | Alert | None = None
            if name is None:
                candidate = Alert(
                    "no current generation",
                    f"{self._paths.current} is missing",
                    "What is in force stays. Run `pulumi up`, which delivers one.",
                )
            elif self._generation_stamp(name) != self._active_stamp:
                candidate = self._candidate(name)
            decision = self._evaluate(candidate)
            alerts = list(decision.alerts)
            if candidate is not None and decision.take is None:
                # The old generation stays; its certificates may have been renewed all the same.
                decision = self._evaluate(None)
                alerts += decision.alerts
                lacks = isinstance(candidate, WantedGeneration)
                self._record_refusal(name, alerts, lacks_certificate=lacks)
            self._report(alerts)
            self._apply(decision)
        if self._reload_due:
            self._reload()
        try:
            self._program.tidy(self._paths)
        except Refused as fault:
            what = "sessions of an older generation go on"
            self._report([Alert(what, str(fault), _EVERY_SECOND)])

    def _start_candidates(self) -> Iterator[WantedGeneration | Alert]:
        current = link_target(self._paths.current)
        if current is not None:
            yield self._candidate(current)
        state = self._paths.state
        if state is None or not state.exists():
            return
        last_good = state.read_text("ascii", "replace").strip()
        if not _ID.fullmatch(last_good):
            yield Alert(
                "the last generation in force is not known",
                f"{state} is damaged",
                "It is written again when a generation comes into force.",
            )
        elif last_good != current:
            yield self._candidate(last_good)

    def _candidate(self, name: str) -> WantedGeneration | Alert:
        try:
            return self._wanted(name, verified=True)
        except (Refused, OSError) as fault:
            return refused(name, str(fault))

    def _wanted(self, name: str, *, verified: bool = False) -> WantedGeneration:
        entries = read_entries(self._paths.generations / name)
        if verified:
            verify(name, entries)
        return WantedGeneration(name, requirements.certificates(self._program.kind, entries))

    def _evaluate(self, candidate: WantedGeneration | Alert | None) -> NextStep:
        wanted = candidate if isinstance(candidate, WantedGeneration) else self._active
        offered: dict[str, CertificateFault | None] = {}
        staged: set[str] = set()
        for name, hosts in (wanted.certificates if wanted else {}).items():
            if self._fetch(name):
                offered[name] = certificate.check(self._fetched(name), hosts)
            pem = self._paths.staged(name)
            fault = certificate.check(pem, hosts) if pem.exists() else CertificateFault("missing")
            if fault is None or fault.expired:
                staged.add(name)
        https = self._paths.https.exists()
        return next_step(
            self._program.kind,
            VolumeState(self._active, candidate, offered, frozenset(staged), https),
        )

    def _fetched(self, name: str) -> Path:
        return self._paths.run / "tls" / f".{name}.offered"

    def _fetch(self, name: str) -> bool:
        """Copies key and chain beside the staged ones; False if they are not there."""
        try:
            # Resolved once: both files of one generation, even if it is switched meanwhile.
            directory = (self._paths.keys / name / "current").resolve(strict=True)
            key = (directory / "key.pem").read_bytes()
            chain = (directory / "fullchain.pem").read_bytes()
        except FileNotFoundError:
            return False
        write(self._fetched(name), key.rstrip() + b"\n" + chain, mode=0o600)
        return True

    def _apply(self, decision: NextStep) -> None:
        """Puts a decision in force; undone if the server itself refuses the result."""
        before = link_target(self._paths.active)
        replaced: dict[Path, bytes | None] = {}
        for name in decision.stage:
            pem, offered = self._paths.staged(name), self._fetched(name)
            old = pem.read_bytes() if pem.exists() else None
            if old != offered.read_bytes():
                replaced[pem] = old
                offered.replace(pem)
        https_before = self._paths.https.exists()
        if not replaced and decision.take is None and decision.https == https_before:
            return
        # The server may start as soon as `active` is there, so that comes last.
        self._set_https(decision.https)
        try:
            if decision.take is not None:
                directory = self._paths.generations / decision.take.generation
                self._program.stage(self._paths, directory)
                point(self._paths.active, directory)
            self._program.check(self._paths)
        except Refused as fault:
            if before is not None:
                point(self._paths.active, self._paths.generations / before)
            self._set_https(https_before)
            for pem, old in replaced.items():
                pem.unlink() if old is None else write(pem, old, mode=0o600)
            wanted = decision.take or self._active
            alert = refused(wanted.generation if wanted else "", str(fault))
            self._report([alert])
            self._record_refusal(link_target(self._paths.current), [alert])
            return
        if decision.take is not None:
            self._active = decision.take
            self._active_stamp = self._generation_stamp(decision.take.generation)
        for pem in replaced:
            emit("certificate", certificate=pem.stem)
        self._reload_due = True
        if before is None:
            self._record_success()

    def _set_https(self, on: bool) -> None:
        if on:
            write(self._paths.https, _INCLUDE.format(self._paths.active / "https.conf").encode())
        else:
            self._paths.https.unlink(missing_ok=True)

    def _reload(self) -> None:
        try:
            self._program.reload(self._paths)
        except Refused as fault:
            if self._reload_fails_since is None:
                self._reload_fails_since = time.monotonic()
            if time.monotonic() - self._reload_fails_since > STARTING_SECONDS:
                self._report([Alert("reload failed, tried again", str(fault), _EVERY_SECOND)])
            return  # due until it succeeds
        self._reload_due = False
        self._reload_fails_since = None
        self._alerted.clear()
        self._record_success()

    def _record_success(self) -> None:
        if self._active is None:
            return
        self._paths.refused.unlink(missing_ok=True)
        if self._paths.state is not None:
            write(self._paths.state, f"{self._active.generation}\n".encode())
        write(self._paths.active_id, f"{self._active.generation}\n".encode())
        emit("generation", generation=self._active.generation)

    def _record_refusal(
        self, name: str | None, alerts: list[Alert], *, lacks_certificate: bool = False
    ) -> None:
        reason = "; ".join(f"{alert.what}: {alert.reason}" for alert in alerts)
        write_json(
            self._paths.refused,
            {"generation": name, "reason": reason, "lacks_certificate": lacks_certificate},
        )

    def _report(self, alerts: list[Alert]) -> None:
        """Each alert once, as long as its cause lasts."""
        for alert in alerts:
            if alert not in self._alerted:
                self._alerted.add(alert)
                emit("alert", what=alert.what, reason=alert.reason, next=alert.next)

    def _stamp(self) -> Stamp:
        """Changes when there may be something to do."""
        name = link_target(self._paths.current)
        generation = self._generation_stamp(name) if name else None
        keys = self._paths.keys
        names = sorted(path.name for path in keys.iterdir()) if keys.is_dir() else []
        return generation, *((n, link_target(keys / n / "current")) for n in names)

    def _generation_stamp(self, name: str) -> Stamp:
        try:
            stat = (self._paths.generations / name / MANIFEST).stat()
        except OSError:
            return (name,)
        return name, stat.st_ino, stat.st_mtime_ns
