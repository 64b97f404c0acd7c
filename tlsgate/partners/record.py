"""Reads one YAML document as one partner, and reports every problem of the record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from tlsgate.partners.ca import parse_ca
from tlsgate.partners.mapping_reader import Located, MappingReader
from tlsgate.partners.model import (
    Allow,
    Direction,
    ExceptionRule,
    Inbound,
    Mode,
    Outbound,
    Partner,
    Require,
    Verify,
)
from tlsgate.partners.syntax import Mapping, Node
from tlsgate.partners.values import (
    NAME_LENGTH,
    REASON_LENGTH,
    parse_address,
    parse_choice,
    parse_date,
    parse_domain,
    parse_mx_name,
    parse_network,
    parse_public_key,
    parse_text,
)
from tlsgate.problems import Problem
from tlsgate.tls import Strength

RECORD_KEYS = (
    "name",
    "contact",
    "agreed",
    "review",
    "mode",
    "tls",
    "domains",
    "subdomains",
    "outbound",
    "inbound",
    "exceptions",
)
OUTBOUND_KEYS = ("verify", "mx", "public_keys", "ca")
INBOUND_KEYS = ("require", "public_keys", "networks")
EXCEPTION_KEYS = ("until", "direction", "allow", "reason", "approved_by")

_parse_name = parse_text(NAME_LENGTH)
_parse_reason = parse_text(REASON_LENGTH)
_parse_mode = parse_choice(Mode)
_parse_tls = parse_choice(Strength)
_parse_verify = parse_choice(Verify)
_parse_require = parse_choice(Require)
_parse_direction = parse_choice(Direction)
_parse_allow = parse_choice(Allow)


@dataclass(frozen=True, slots=True)
class Draft:
    """What could be read of a record: enough to compare it with the others."""

    file: str
    name: Located[str] | None
    domains: tuple[Located[str], ...]
    subdomains: bool
    partner: Partner | None
    """None if the record has a problem."""


def read_record(node: Node, file: str, today: date | None, problems: list[Problem]) -> Draft | None:
    """Read one document. Return None if it is not a mapping."""
    if not isinstance(node, Mapping):
        remedy = "Write the record's keys, such as `name: Acme Motors AG`"
        problems.append(Problem(file, node.line, "", "not-a-record", "is not a record", remedy))
        return None
    found = len(problems)
    top = MappingReader(node, "", RECORD_KEYS, file, problems)
    name = top.value("name", _parse_name, "Acme Motors AG")
    contact = top.value("contact", parse_address, "postmaster@acme.example")
    agreed, review = _dates(top, today)
    mode = top.value("mode", _parse_mode) or Mode.ENFORCE
    tls = top.value("tls", _parse_tls) or Strength.STRONG
    domains = _domains(top)
    subdomains = top.flag("subdomains", True)
    outbound = _outbound(top.mapping("outbound", OUTBOUND_KEYS))
    inbound = _inbound(top.mapping("inbound", INBOUND_KEYS))
    exceptions = _exceptions(top, agreed, inbound.require)
    partner = None
    if len(problems) == found and name and contact and agreed and review:
        partner = Partner(
            name=name,
            contact=contact,
            agreed=agreed,
            review=review,
            mode=mode,
            tls=tls,
            domains=_sorted(domains),
            subdomains=subdomains,
            outbound=outbound,
            inbound=inbound,
            exceptions=exceptions,
            file=file,
        )
    place = Located(name, top.line_of("name"), "name") if name else None
    return Draft(file, place, tuple(domains), subdomains, partner)


def _sorted(places: list[Located[str]]) -> tuple[str, ...]:
    return tuple(sorted(place.value for place in places))


def _dates(top: MappingReader, today: date | None) -> tuple[date | None, date | None]:
    agreed = top.value("agreed", parse_date, "2026-10-01")
    review = top.value("review", parse_date, "2027-10-01")
    if agreed and today and agreed > today:
        message = f"{agreed} is in the future"
        remedy = "Write the day of the agreement"
        top.problem("agreed", top.line_of("agreed"), "bad-date", message, remedy)
    if agreed and review and review <= agreed:
        message = f"{review} is not after {agreed}, the day of the agreement"
        remedy = "Write the day by which the agreement must be confirmed again"
        top.problem("review", top.line_of("review"), "bad-date", message, remedy)
    return agreed, review


def _domains(top: MappingReader) -> list[Located[str]]:
    domains = top.values("domains", parse_domain)
    if "domains" not in top.entries:
        remedy = "Write `domains: [acme.example]`"
        top.problem("domains", top.line, "missing", "is missing", remedy)
    else:
        _refuse_empty(top, "domains", "Write at least one domain, or delete the record")
    return domains


def _refuse_empty(section: MappingReader, key: str, remedy: str) -> None:
    if section.is_empty_list(key):
        section.problem(key, section.line_of(key), "empty-list", "is empty", remedy)


def _outbound(section: MappingReader) -> Outbound:
    verify = section.value("verify", _parse_verify) or Verify.PKIX
    mx = section.values("mx", parse_mx_name)
    keys = section.values("public_keys", parse_public_key)
    _refuse_empty(section, "mx", "Delete the key, or write the names of the partner's servers")
    if mx and verify in (Verify.DANE, Verify.PIN):
        proof = "TLSA records identify" if verify is Verify.DANE else "the pinned key identifies"
        message = f"is not used with `verify: {verify}`: {proof} the server"
        remedy = "Delete it, or write `verify: pkix`"
        section.problem("mx", section.line_of("mx"), "not-used", message, remedy)
    _check_keys(section, "verify", verify, Verify.PIN)
    _check_ca(section, verify)
    ca = section.value("ca", parse_ca) or ""
    return Outbound(verify, _sorted(mx), _sorted(keys), ca)


def _check_ca(section: MappingReader, verify: Verify) -> None:
    line, given = section.line_of("ca"), "ca" in section.entries
    if verify is Verify.PRIVATE_CA and not given:
        message = f"is needed with `verify: {verify}`"
        remedy = "Write the certificate of the partner's CA as PEM, or `verify: pkix`"
        section.problem("ca", line, "missing", message, remedy)
    if verify is not Verify.PRIVATE_CA and given:
        message = f"is not used with `verify: {verify}`"
        remedy = f"Delete it, or write `verify: {Verify.PRIVATE_CA}`"
        section.problem("ca", line, "not-used", message, remedy)


def _inbound(section: MappingReader) -> Inbound:
    require = section.value("require", _parse_require) or Require.TLS
    keys = section.values("public_keys", parse_public_key)
    networks = section.values("networks", parse_network)
    _check_keys(section, "require", require, Require.CERTIFICATE)
    if require is Require.NETWORK and not section.has_items("networks"):
        message = "is needed with `require: network`"
        remedy = "Write the CIDR blocks that the partner sends from"
        section.problem("networks", section.line_of("networks"), "missing", message, remedy)
    return Inbound(require, _sorted(keys), _sorted(networks))


def _check_keys(section: MappingReader, key: str, chosen: Verify | Require, user: object) -> None:
    """Require `public_keys` with the one choice that uses them, and refuse them with any other."""
    line, given = section.line_of("public_keys"), section.has_items("public_keys")
    if chosen is user and not given:
        message = f"is needed with `{key}: {chosen}`"
        remedy = "Write the SHA-256 of the SPKI of each key"
        section.problem("public_keys", line, "missing", message, remedy)
    if chosen is not user and given:
        message = f"is not used with `{key}: {chosen}`"
        remedy = f"Delete it, or write `{key}: {user}`"
        section.problem("public_keys", line, "not-used", message, remedy)


def _exceptions(
    top: MappingReader, agreed: date | None, require: Require
) -> tuple[ExceptionRule, ...]:
    rules = []
    for section in top.mappings("exceptions", EXCEPTION_KEYS):
        until = section.value("until", parse_date, "2026-12-24")
        direction = section.value("direction", _parse_direction, "outbound")
        allow = section.value("allow", _parse_allow, "encrypted")
        reason = section.value("reason", _parse_reason, "certificate renewal late, ticket 4711")
        approved_by = section.value("approved_by", parse_address, "security@example.org")
        if until and agreed and until < agreed:
            message = f"{until} is before {agreed}, the day of the agreement"
            remedy = "Write the exception's last day"
            section.problem("until", section.line_of("until"), "bad-date", message, remedy)
        if (direction, allow, require) == (Direction.INBOUND, Allow.ENCRYPTED, Require.TLS):
            message = "allows nothing that `require: tls` does not allow anyway"
            remedy = "Delete the exception, or write `allow: plaintext`"
            section.problem("allow", section.line_of("allow"), "not-used", message, remedy)
        if until and direction and allow and reason and approved_by:
            rules.append(ExceptionRule(until, direction, allow, reason, approved_by))
    return tuple(rules)
