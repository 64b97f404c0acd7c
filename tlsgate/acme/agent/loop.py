"""The agent's loop: looks at every certificate, and orders what is due."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from tlsgate.acme.agent.assembly import renewer
from tlsgate.acme.agent.status import HEALTHY, certificate_faults
from tlsgate.acme.config.agent_json import Config, WantedCertificate, load
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.process import Busy, Pause, Stop, Stopped, locked
from tlsgate.acme.renewal.renewer import Renewer
from tlsgate.acme.state.paths import Paths
from tlsgate.clock import Clock
from tlsgate.events import emit
from tlsgate.files import write
from tlsgate.problems import ProblemsError

Stamp = frozenset[tuple[str, int, int, int]]
Build = Callable[[Config, Paths, Pause, Clock], Renewer]
_SLICE = 1.0
_AGAIN = "It is tried again at each look."
_CONFIG = "the new agent.json is refused"
_VOLUME = "the state volume cannot be used"


class Agent:
    """Looks every `look_seconds`, and at once when agent.json has changed."""

    def __init__(self, paths: Paths, clock: Clock, stop: Stop, build: Build = renewer) -> None:
        """Raises ProblemsError or AcmeFault if the configuration cannot be used."""
        self._paths = paths
        self._clock = clock
        self._stop = stop
        self._build = build
        self._alerts: dict[str, str] = {}
        self._requests_seen: Stamp = frozenset()
        self._stamp = self._config_stamp()
        self._config = load(paths.config)
        self._renewer = build(self._config, paths, self._pause, clock)

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._config

    def run(self) -> None:
        """Runs until the process is told to stop."""
        names = [wanted.name for wanted in self._config.certificates]
        emit("agent", certificates=names, directory=self._config.directory)
        try:
            while True:
                self.look()
                self._sleep()
        except Stopped:
            emit("stopped")

    def look(self) -> None:
        """Looks at every certificate once."""
        self._touch_heartbeat()
        self._take_config()
        self._write_health()
        try:
            with locked(self._paths.lock, 0, self._pause, lambda: None):
                for wanted in self._config.certificates:
                    self._look_at(wanted)
                self._requests_seen = self._person_requests()
        except Busy:
            return  # a job orders just now; the next look sees what it did
        except OSError as fault:
            self._alert(_VOLUME, str(fault), _AGAIN)
        else:
            self._alerts.pop(_VOLUME, None)
        self._write_health()

    def _look_at(self, wanted: WantedCertificate) -> None:
        """Twice, if the roll-over of the key reached the step where a certificate is ordered."""
        for _ in range(2):
            self._attempt(wanted)
            self._pause(0)
            fault = self._renewer.roll(wanted)
            self._report(f"the key of certificate {wanted.name} cannot be rolled over", fault)
            self._pause(0)
            if fault is not None or self._renewer.reason(wanted) is None:
                return

    def _attempt(self, wanted: WantedCertificate) -> None:
        wait_until = self._renewer.wait_until(wanted)
        if wait_until and self._clock() < wait_until and self._renewer.reason(wanted):
            return
        fault = self._renewer.attempt(wanted)
        if fault is not None and self._renewer.reason(wanted):
            return  # about an order: those report and count their failures themselves
        self._report(f"certificate {wanted.name} is served, but its records are not right", fault)

    def _report(self, what: str, fault: AcmeFault | None) -> None:
        if fault is None:
            self._alerts.pop(what, None)
        else:
            self._alert(what, fault.reason, _AGAIN)

    def _take_config(self) -> None:
        stamp = self._config_stamp()
        if stamp == self._stamp and _CONFIG not in self._alerts:
            return
        self._stamp = stamp
        try:
            config = load(self._paths.config)
            self._renewer = self._build(config, self._paths, self._pause, self._clock)
        except (ProblemsError, AcmeFault) as fault:
            self._alert(_CONFIG, str(fault), "The previous one stays in force.")
            return
        self._alerts.pop(_CONFIG, None)
        self._config = config
        emit("config", certificates=[wanted.name for wanted in config.certificates])

    def _config_stamp(self) -> Stamp:
        """Changes with agent.json, and with the secrets and roots beside it."""
        try:
            with os.scandir(self._paths.config.parent) as entries:
                return frozenset(_stamp(entry.name, entry.stat()) for entry in entries)
        except OSError:
            return frozenset()  # just being replaced

    def _sleep(self) -> None:
        """Sleeps until the next look, the next step of a roll-over, or a person's request."""
        now = self._clock()
        waits: list[datetime | None] = []
        with suppress(OSError):  # the look reports it
            waits = [self._renewer.roller.waits_until(one) for one in self._config.certificates]
        # A step whose time has come but that failed waits for the next ordinary look.
        ends = [wait for wait in waits if wait is not None and wait > now]
        end = min([*ends, now + timedelta(seconds=self._config.look_seconds)])
        while (left := (end - self._clock()).total_seconds()) > 0:
            self._pause(min(left, _SLICE))
            if (
                self._config_stamp() != self._stamp
                or self._person_requests() != self._requests_seen
            ):
                return

    def _person_requests(self) -> Stamp:
        """Changes with what a person's command leaves on the state volume."""
        found = []
        for path in (self._paths.rollovers, self._paths.forced, self._paths.renewals):
            with suppress(FileNotFoundError):
                found.append(_stamp(path.name, os.stat(path)))  # noqa: PTH116 - every second
        return frozenset(found)

    def _write_health(self) -> None:
        """For the container's health check, which then need not start Python every few seconds."""
        try:
            found = certificate_faults(self._config, self._paths, self._clock())
        except OSError as fault:
            found = [f"a volume cannot be used: {fault}"]
        text = "".join(f"{line}\n" for line in found or [HEALTHY])
        if self._paths.heartbeat.read_text() != text:
            write(self._paths.heartbeat, text.encode())

    def _pause(self, seconds: float) -> None:
        self._touch_heartbeat()
        self._stop.pause(seconds)

    def _touch_heartbeat(self) -> None:
        self._paths.heartbeat.touch()

    def _alert(self, what: str, reason: str, next_step: str) -> None:
        """Reports each alert once, for as long as its cause lasts."""
        if self._alerts.get(what) != reason:
            self._alerts[what] = reason
            emit("alert", what=what, reason=reason, next=next_step)


def _stamp(name: str, stat: os.stat_result) -> tuple[str, int, int, int]:
    return name, stat.st_ino, stat.st_mtime_ns, stat.st_size
