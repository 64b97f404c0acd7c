"""The state of every certificate, from the volumes alone: no network, no key is read.

JSON of one certificate (times are ISO 8601, UTC; null where there is nothing to say):

    {"name", "volume", "wanted_names": [name],
     "served": {"names": [name], "issuer": directory URL, "profile", "serial": hex,
                "spki_sha256": hex, "not_before", "not_after", "generation", "key_made"},
     "renewal": {"at", "asked": whether the CA named that time, "next_look", "error"},
     "failure": {"count", "at", "next_try", "reason": the CA's words},
     "tlsa": [{"owner", "values": [record data], "ttl": seconds, "seen"}],
     "rollover": {"step", "reason", "begun", "old", "new", "now", "revoke", "switched",
                  "waits_for": text, "until"},
     "next_rollover": when the schedule begins one,
     "kept": [generation that is not served, the youngest first]}
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from tlsgate.acme.ca.account import account_uri
from tlsgate.acme.certificate import ChainFault, Facts, facts
from tlsgate.acme.config.agent_json import Config, WantedCertificate
from tlsgate.acme.gateway.generations import CertificateGeneration, CertificateStore
from tlsgate.acme.renewal.decision import latest_renewal
from tlsgate.acme.renewal.failures import Failures
from tlsgate.acme.renewal.renewal_info import RenewalInfo
from tlsgate.acme.rollover import state_machine
from tlsgate.acme.rollover.roller import by_hand, spread_at
from tlsgate.acme.rollover.saved import Rollovers
from tlsgate.acme.rollover.state_machine import Rollover, Step
from tlsgate.acme.rollover.tlsa_records import PublishedRecords
from tlsgate.acme.state.paths import Paths
from tlsgate.clock import Clock

SILENT = timedelta(minutes=5)
HEALTHY = "healthy"
"""The content of the heartbeat's file if there is no fault; otherwise the faults."""
_WAITS = {
    Step.KEY: "the agent to make the next key",
    Step.PUBLISH: "every name server to show the next key's TLSA record",
    Step.SPREAD: "TLSA records without the next key to expire from caches",
    Step.ORDER: "a certificate for the next key, and the servers to serve it",
    Step.REVOKE: "the CA to revoke the old key's certificates",
    Step.SETTLE: "clients that are still connected to a server with the old key",
    Step.RETIRE: "the old key's TLSA record to be removed",
    Step.HELD: "the schedule to begin again, after a roll-over that was undone",
}


class Status:
    """Reads the volumes at each call."""

    def __init__(self, config: Config, paths: Paths, clock: Clock) -> None:
        self._config = config
        self._paths = paths
        self._renewals = RenewalInfo(paths.renewals, clock)
        self._clock = clock

    def all(self) -> list[dict[str, Any]]:
        """Every configured certificate, in the configuration's order."""
        return [self.one(wanted) for wanted in self._config.certificates]

    def one(self, wanted: WantedCertificate) -> dict[str, Any]:
        """One certificate."""
        store = CertificateStore(self._paths.certificate(wanted.volume, wanted.name))
        current = store.current()
        found = _facts(current)
        failure = Failures(self._paths.failures).get(wanted.id)
        state = Rollovers(self._paths.rollovers).get(wanted.id)
        if state is not None and found is not None:
            state = state_machine.observed(state, found.spki_sha256, self._clock())
        return {
            "name": wanted.name,
            "volume": wanted.volume,
            "wanted_names": list(wanted.names),
            "served": _served(current, found) if current and found else None,
            "renewal": self._renewal(current) if current and found else None,
            "failure": {
                "count": failure.count,
                "at": failure.at.isoformat(),
                "next_try": failure.next_try.isoformat(),
                "reason": failure.reason,
            }
            if failure
            else None,
            "tlsa": self._tlsa(wanted),
            "rollover": self._rollover(wanted, state) if state else None,
            "next_rollover": self._next_rollover(wanted, current, state),
            "kept": [generation.id for generation in store.past()],
        }

    def _renewal(self, current: CertificateGeneration) -> dict[str, object]:
        advice = self._renewals.advice(current.chain)
        return {
            "at": self._renewals.time(current.chain).isoformat(),
            "asked": advice is not None and advice.chosen is not None,
            "next_look": advice.next_look.isoformat() if advice else None,
            "error": advice.error if advice else None,
        }

    def _tlsa(self, wanted: WantedCertificate) -> list[dict[str, object]]:
        noted = PublishedRecords(self._paths.tlsa).all()
        return [
            {
                "owner": owner,
                "values": list(noted[owner].values),
                "ttl": noted[owner].ttl,
                "seen": noted[owner].seen.isoformat(),
            }
            for owner in wanted.tlsa
            if owner in noted
        ]

    def _rollover(self, wanted: WantedCertificate, state: Rollover) -> dict[str, object]:
        until = self._until(wanted, state)
        return {
            **{name: _value(one) for name, one in msgspec.structs.asdict(state).items()},
            "waits_for": _WAITS[state.step],
            "until": until.isoformat() if until else None,
        }

    def _until(self, wanted: WantedCertificate, state: Rollover) -> datetime | None:
        if state.step is Step.HELD:
            return state.begun + state_machine.HOLD
        if state.now:
            return None
        if state.step is Step.SPREAD:
            return spread_at(PublishedRecords(self._paths.tlsa), wanted.tlsa)
        ttl = self._config.tlsa.ttl if self._config.tlsa and wanted.tlsa else 0
        if state.step is Step.SETTLE:
            return state_machine.settled_at(state, timedelta(seconds=ttl))
        return None

    def _next_rollover(
        self,
        wanted: WantedCertificate,
        current: CertificateGeneration | None,
        state: Rollover | None,
    ) -> str | None:
        days = self._config.rotate_days
        if current is None or days == 0 or by_hand(self._config, wanted):
            return None
        if state is not None and state.step is not Step.HELD:
            return None
        at = current.key_made + timedelta(days=days)
        if state is not None:
            at = max(at, state.begun + state_machine.HOLD)
        return at.isoformat()


def _facts(current: CertificateGeneration | None) -> Facts | None:
    try:
        return facts(current.chain) if current else None
    except ChainFault:
        return None


def _served(current: CertificateGeneration, found: Facts) -> dict[str, object]:
    return {
        "names": list(found.names),
        "issuer": current.meta.directory,
        "profile": current.meta.profile,
        "serial": found.serial,
        "spki_sha256": found.spki_sha256,
        "not_before": found.not_before.isoformat(),
        "not_after": found.not_after.isoformat(),
        "generation": current.id,
        "key_made": current.key_made.isoformat(),
    }


def as_text(entry: dict[str, Any]) -> str:
    """One certificate as text."""
    served, renewal, failure = entry["served"], entry["renewal"], entry["failure"]
    lines = [f"{entry['name']} ({entry['volume']})"]
    if served is None:
        lines.append(f"  not issued yet, for {', '.join(entry['wanted_names'])}")
    else:
        lines += [
            f"  names     {', '.join(served['names'])}",
            f"  issuer    {served['issuer']}, profile {served['profile'] or 'none'}",
            f"  serial    {served['serial']}",
            f"  key       {served['spki_sha256']} (SPKI), made {_time(served['key_made'])}",
            f"  valid     {_time(served['not_before'])} to {_time(served['not_after'])}",
            f"  renewal   {_time(renewal['at'])}"
            f" ({'as the CA asks' if renewal['asked'] else 'by its lifetime'})",
        ]
        if renewal["next_look"]:
            lines.append(f"  next look {_time(renewal['next_look'])}, at what the CA asks for")
        if renewal["error"]:
            lines.append(f"            the last one failed: {renewal['error']}")
    for record in entry["tlsa"]:
        values = " and ".join(record["values"])
        lines.append(f"  TLSA      {record['owner']} {values}, seen {_time(record['seen'])}")
    if failure is not None:
        count, again = failure["count"], _time(failure["next_try"])
        reason = str(failure["reason"]).replace("\n", "\n            ")
        lines.append(f"  failed    {count} in a row, again at {again}: {reason}")
    state = entry["rollover"]
    if state is not None:
        until = f" until {_time(state['until'])}" if state["until"] else ""
        lines.append(f"  roll-over step {state['step']} ({state['reason']})")
        lines.append(f"            waits for {state['waits_for']}{until}")
    elif entry["next_rollover"]:
        lines.append(f"  roll-over none; the next from {_time(entry['next_rollover'])} on")
    return "\n".join(lines)


def _value(one: object) -> object:
    return one.isoformat() if isinstance(one, datetime) else one


def _time(iso: str) -> str:
    return f"{datetime.fromisoformat(iso):%Y-%m-%d %H:%M:%S} UTC"


def result(config: Config, paths: Paths) -> dict[str, object]:
    """The account and the certificates in service, as the components take them.

    Public facts that neither a renewal nor a roll-over changes: no expiry, no serial, no key. Names
    are sorted. `issuer` is a directory URL: the first CA's also where the configured fallback
    issued, the real one's where that is not configured. A certificate that is not there
    is left out.
    """
    wanted_issuers = {ca.directory for ca in config.cas}
    return {
        "account": account_uri(paths.account(config.directory)),
        "certificates": [
            {
                "name": wanted.name,
                "names": list(found.names),
                "issuer": (
                    config.directory
                    if generation.meta.directory in wanted_issuers
                    else generation.meta.directory
                ),
            }
            for wanted, generation, found in _in_service(config, paths)
        ],
    }


def keys(config: Config, paths: Paths) -> dict[str, str]:
    """Certificate → SHA-256 of the public key (SPKI, hex), as of now: a roll-over changes it."""
    return {wanted.name: found.spki_sha256 for wanted, _, found in _in_service(config, paths)}


def faults(config: Config, paths: Paths, now: datetime) -> list[str]:
    """Why the agent's container is not healthy; empty if it is."""
    found = []
    try:
        silent = now.timestamp() - paths.heartbeat.stat().st_mtime
    except OSError:
        found.append("the agent's loop has not run yet")
    else:
        if silent > config.look_seconds + SILENT.total_seconds():
            found.append(f"the agent's loop has not run for {silent:.0f} s")
    return found + certificate_faults(config, paths, now)


def certificate_faults(config: Config, paths: Paths, now: datetime) -> list[str]:
    """What is wrong with the certificates in service, well before peers notice it."""
    found = []
    served = {wanted: facts for wanted, _, facts in _in_service(config, paths)}
    for wanted in config.certificates:
        certificate = served.get(wanted)
        if certificate is None:
            found.append(f"certificate {wanted.name} is missing")
            continue
        if now > latest_renewal(certificate.not_before, certificate.not_after):
            until = f"{certificate.not_after:%Y-%m-%d %H:%M:%S} UTC"
            found.append(f"certificate {wanted.name} ends at {until} and was not renewed")
    return found


def _in_service(
    config: Config, paths: Paths
) -> Iterator[tuple[WantedCertificate, CertificateGeneration, Facts]]:
    for wanted in config.certificates:
        generation = CertificateStore(paths.certificate(wanted.volume, wanted.name)).current()
        if generation is None:
            continue
        try:
            yield wanted, generation, facts(generation.chain)
        except ChainFault:
            continue
