"""The agent's configuration: agent.json as frozen dataclasses; each problem names its key."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tlsgate.acme.certificate import Meta
from tlsgate.acme.config.ca import Ca, CaTurns, Fallback, read_ca, read_fallback
from tlsgate.acme.config.json_object import JsonObject
from tlsgate.acme.config.limits import Limits, read_limits
from tlsgate.problems import Problem, ProblemsError

ROTATE_DAYS = 90
MAXIMAL_NAMES = 100
"""What Let's Encrypt's default profile allows; other profiles allow fewer and say so."""
_HOST = re.compile(r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]*[a-z0-9]")
_OWNER = re.compile(r"(?=.{1,253}\Z)([a-z0-9_]([a-z0-9_-]{0,62})?\.)+[a-z0-9-]*[a-z0-9]")
_FILE_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,252}")


@dataclass(frozen=True, slots=True)
class DnsUpdates:
    """Where the agent's DNS updates go (RFC 2136) and the key that signs them (RFC 8945)."""

    server: str
    port: int
    zones: tuple[str, ...]
    tsig_key_file: Path
    ttl: int


@dataclass(frozen=True, slots=True)
class HttpTokens:
    """The folder that the policy host serves at `/`."""

    directory: Path


@dataclass(frozen=True, slots=True)
class Probe:
    """Where a certificate is served."""

    host: str
    port: int
    starttls: bool

    def __str__(self) -> str:
        kind = "STARTTLS" if self.starttls else "TLS"
        return f"{self.host} port {self.port} ({kind})"


@dataclass(frozen=True, slots=True)
class WantedCertificate:
    """One certificate. `volume`, `name`: where it is kept. `tlsa`: the owners that name its key.
    `probe`: where its server shows it.
    """

    name: str
    volume: str
    names: tuple[str, ...]
    tlsa: tuple[str, ...]
    probe: Probe | None = None

    @property
    def id(self) -> str:
        """Names it on the state volume."""
        return f"{self.volume}/{self.name}"


@dataclass(frozen=True, slots=True)
class Config:
    """What agent.json says. `ca`: the first CA. `roots_file`: roots that an issued chain may lead
    to, besides the system's. `limits`: of each CA's account. `rotate_days`: how old a key may get,
    0 for any age. `metrics_port`: None for no metrics. `webhook_file`: holds the URL for alerts.
    """

    ca: Ca
    roots_file: Path | None
    challenge: DnsUpdates | HttpTokens
    tlsa: DnsUpdates | None
    certificates: tuple[WantedCertificate, ...]
    look_seconds: int
    fallback: Fallback | None = None
    limits: Limits = field(default_factory=Limits)
    rotate_days: int = ROTATE_DAYS
    metrics_port: int | None = None
    webhook_file: Path | None = None

    @property
    def directory(self) -> str:
        """The first CA's directory, which names it."""
        return self.ca.directory

    @property
    def issuers(self) -> tuple[Meta, ...]:
        """What a certificate's issuer may be."""
        return tuple(Meta(ca.directory, ca.profile) for ca in self.cas)

    @property
    def turns(self) -> CaTurns:
        """Which CA is asked when."""
        directories = tuple(ca.directory for ca in self.cas)
        return CaTurns(directories, self.fallback.after if self.fallback else 1)

    @property
    def cas(self) -> tuple[Ca, ...]:
        """The first CA, then the fallback, if there is one."""
        return (self.ca, self.fallback.ca) if self.fallback else (self.ca,)


def load(path: Path) -> Config:
    """Reads agent.json. Raises ProblemsError with everything that is wrong."""
    try:
        text = path.read_text("utf-8")
    except OSError as fault:
        message = f"cannot be read: {fault.strerror}"
        raise _refused(path, "unreadable", message, "Run `pulumi up`, which writes it") from fault
    try:
        values = json.loads(text)
    except ValueError as fault:
        raise _refused(path, "not-json", f"is not JSON: {fault}", "Run `pulumi up`") from fault
    if not isinstance(values, dict):
        raise _refused(path, "not-json", "is not a JSON object", "Run `pulumi up`")
    problems: list[Problem] = []
    config = _config(JsonObject(str(path), "", values, problems))
    if problems:
        raise ProblemsError(problems)
    return config


def _refused(path: Path, code: str, message: str, remedy: str) -> ProblemsError:
    return ProblemsError([Problem(str(path), 0, "", code, message, remedy)])


def _config(top: JsonObject) -> Config:
    ca = read_ca(top)
    certificates = tuple(_wanted(entry) for entry in top.sections("certificates"))
    _refuse_duplicates(top, [f"{wanted.volume}/{wanted.name}" for wanted in certificates])
    tlsa = top.section("tlsa")
    config = Config(
        ca=ca,
        roots_file=top.optional_file("roots_file"),
        challenge=_challenge(top),
        tlsa=_dns(tlsa) if tlsa else None,
        certificates=certificates,
        look_seconds=top.number("look_seconds", default=60, low=1, high=3600),
        fallback=read_fallback(top.section("fallback"), ca),
        limits=read_limits(top.section("limits")),
        rotate_days=top.number("rotate_days", default=ROTATE_DAYS, low=0, high=3650),
        metrics_port=top.number("metrics_port", default=0, low=0, high=65535) or None,
        webhook_file=top.optional_file("webhook_file"),
    )
    top.finish()
    return config


def _challenge(top: JsonObject) -> DnsUpdates | HttpTokens:
    section = top.section("challenge")
    if section is None:
        top.problem("challenge", "is missing", "Write a dns-01 or an http-01 challenge")
        return HttpTokens(Path())
    kind = section.text("type")
    if kind == "dns-01":
        return _dns(section)
    if kind == "http-01":
        tokens = HttpTokens(section.file("directory"))
        section.finish()
        return tokens
    if kind:
        section.problem("type", f"{kind} is not a known challenge", "Write dns-01 or http-01")
    return HttpTokens(Path())


def _dns(section: JsonObject) -> DnsUpdates:
    section.taken.add("type")  # `challenge` and `tlsa` have the same keys
    updates = DnsUpdates(
        server=section.text("server"),
        port=section.number("port", default=53, low=1, high=65535),
        zones=section.texts("zones"),
        tsig_key_file=section.file("tsig_key_file"),
        ttl=section.number("ttl", default=60, low=0, high=86400),
    )
    section.finish()
    return updates


def _wanted(section: JsonObject) -> WantedCertificate:
    wanted = WantedCertificate(
        name=section.text("name"),
        volume=section.text("volume"),
        names=section.texts("names"),
        tlsa=section.texts("tlsa", required=False),
        probe=_probe(section.section("probe")),
    )
    for key, value in (("name", wanted.name), ("volume", wanted.volume)):
        if value and not _FILE_NAME.fullmatch(value):
            section.problem(key, f"{value!r} cannot name a directory", "Use a-z, 0-9, . and -")
    for key, pattern, values in (("names", _HOST, wanted.names), ("tlsa", _OWNER, wanted.tlsa)):
        for value in values:
            if not pattern.fullmatch(value):
                remedy = "Write it in lower case, in its ASCII form, without a final dot"
                section.problem(key, f"{value!r} is not a host name", remedy)
        _refuse_duplicates(section, values, key)
    if len(wanted.names) > MAXIMAL_NAMES:
        message = f"{len(wanted.names)} names in one certificate"
        section.problem("names", message, f"Use at most {MAXIMAL_NAMES}")
    section.finish()
    return wanted


def _probe(section: JsonObject | None) -> Probe | None:
    if section is None:
        return None
    probe = Probe(
        host=section.text("host"),
        port=section.number("port", default=443, low=1, high=65535),
        starttls=section.flag("starttls"),
    )
    section.finish()
    return probe


def _refuse_duplicates(
    section: JsonObject, values: Sequence[str], key: str = "certificates"
) -> None:
    for value in sorted({value for value in values if values.count(value) > 1}):
        section.problem(key, f"{value} appears twice", "List it once")
