"""DnsRecords: the stack's record sets, published by RFC 2136 or by hand (D12).

All record sets are one resource, for the reason in D3, and so that all conflicts are reported at
once, before anything is changed. A preview asks the name server whether it would accept the
changes; the updates that it sends for this are empty. The TSIG key is read from its file whenever
it is needed: inputs and state contain only its path.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    UpdateResult,
)

from tlsgate.dns import updates
from tlsgate.dns.errors import DnsError, KeyRefusedError, UnreachableError, ZoneError
from tlsgate.dns.manual_records import look_up
from tlsgate.dns.records import Record
from tlsgate.dns.server import NameServer
from tlsgate.dns.sets import by_key, from_lines, key_of, same, to_lines, to_rdataset, zone_of
from tlsgate.dns.tsig import read_tsig_key
from tlsgate_pulumi.dynamic import Props, Provider, all_known, changed_keys, difference
from tlsgate_pulumi.engine import DeploymentError
from tlsgate_pulumi.settings import DnsSettings, Endpoint

RFC2136 = "rfc2136"
MANUAL = "manual"
INPUTS = ("wanted", "sink", "server", "port", "zones", "tsig_key_file")
ID = "dns-records"
CHECK_SECONDS = 3.0
UPDATE_SECONDS = 30.0
"""For one message: a server that signs a big zone at once needs time."""


@dataclass(frozen=True)
class DnsRecordsArgs:
    """What to publish, and where.

    `records` may be an output of another resource. The sink `rfc2136` needs `server`, `zones` and
    `tsig_key_file` (a path on the deploying machine). With `manual`, `server` is asked whether the
    records are live; None: the resolver of the deploying machine is asked.
    """

    records: Sequence[Record] | pulumi.Output[Sequence[Record]]
    sink: str
    server: Endpoint | None = None
    zones: Sequence[str] = ()
    tsig_key_file: str | None = None

    @classmethod
    def from_settings(
        cls, dns: DnsSettings, records: Sequence[Record] | pulumi.Output[Sequence[Record]]
    ) -> DnsRecordsArgs:
        """Return the arguments for records that are published as the stack's config says."""
        return cls(records, dns.sink, dns.server, dns.zones, dns.tsig_key_file)


@contextmanager
def deployment_errors() -> Iterator[None]:
    """Raise a DnsError as a DeploymentError, whose text names the config key to correct."""
    try:
        yield
    except DnsError as error:
        raise DeploymentError(describe(error)) from None


def describe(error: DnsError) -> str:
    """Return the text of an error, with the config key to correct."""
    keys = {UnreachableError: "server", KeyRefusedError: "tsigKeyFile", ZoneError: "zones"}
    key = keys.get(type(error))
    return f"tlsgate:dns.{key}: {error}" if key else f"tlsgate:dns: {error}"


def name_server(props: Props, timeout: float) -> NameServer:
    """Return the name server of the inputs, with its TSIG key."""
    key = read_tsig_key(Path(props["tsig_key_file"]))
    return NameServer(props["server"], int(props["port"]), key, timeout)


def problems(props: Props) -> list[str]:
    """Return why the server would not accept updates with these inputs; changes nothing."""
    found: list[str] = []
    try:
        server = name_server(props, CHECK_SECONDS)
        zones = {zone_of(record.name, props["zones"]) for record in from_lines(props["wanted"])}
    except DnsError as error:
        return [describe(error)]
    for zone in sorted(zones):
        try:
            server.check(zone)
        except DnsError as error:
            found.append(describe(error))
            if isinstance(error, UnreachableError):
                break
    return list(dict.fromkeys(found))


def rehearse(olds: Props, news: Props) -> None:
    """Raise DnsError if the change would fail; changes nothing."""
    server = name_server(news, CHECK_SECONDS)
    updates.rehearse(server, zones_of(olds, news), from_lines(news["wanted"]), expected(olds, news))


def zones_of(olds: Props, news: Props) -> list[str]:
    """Return the zones to write to; old ones too, to remove the records in them."""
    return list(dict.fromkeys([*news["zones"], *olds.get("zones", ())]))


def expected(olds: Props, news: Props) -> list[Record]:
    """Return the content that may be overwritten; `olds` are the resource's outputs, or empty.

    For a set that is still wanted, this is what the last refresh found, with changes made by hand:
    the user has seen them. A set that is no longer wanted is removed only as it was published.
    """
    if not olds:
        return []
    wanted = by_key(from_lines(news["wanted"]))
    seen = [record for record in from_lines(olds["records"]) if key_of(record) in wanted]
    dropped = [record for record in from_lines(olds["wanted"]) if key_of(record) not in wanted]
    return seen + dropped


def publish(olds: Props, news: Props) -> Props:
    """Publish the wanted sets and return the outputs. Raises DnsError."""
    server = name_server(news, UPDATE_SECONDS)
    wanted = from_lines(news["wanted"])
    print_notes(updates.publish(server, zones_of(olds, news), wanted, expected(olds, news)).notes)
    return {**news, "records": news["wanted"]}


def require_live(props: Props) -> Props:
    """Return the outputs if a person has published all sets; raise with the missing ones."""
    live = live_lines(props)
    wanted = by_key(from_lines(props["wanted"]))
    held = by_key(from_lines(live))
    missing = {key: record for key, record in wanted.items() if held.get(key) != record}
    if missing:
        lines = to_lines(missing.values())
        instead = to_lines(record for key, record in held.items() if key in missing)
        raise DeploymentError(
            "\n".join(
                [
                    f"{len(missing)} of {len(wanted)} DNS record sets are not live. Publish these"
                    " lines, then run `up` again:",
                    *lines,
                    *(["These records are live instead:", *instead] if instead else []),
                ]
            )
        )
    return {**props, "records": live}


def live_lines(props: Props) -> list[str]:
    """Return what is live now for the wanted sets. Raises DnsError.

    With the manual sink, TTLs are not compared: the person chooses them, and resolvers lower them.
    """
    wanted = from_lines(props["wanted"])
    if props["sink"] == RFC2136:
        server = name_server(props, CHECK_SECONDS)
        return to_lines(updates.live(server, props["zones"], wanted))
    manual_server = NameServer(props["server"], int(props["port"])) if props["server"] else None
    by_set = by_key(wanted)
    live = []
    for record in look_up(wanted, manual_server):
        mine = by_set.get(key_of(record))
        is_same = mine is not None and same(to_rdataset(mine), to_rdataset(record))
        live.append(mine if mine is not None and is_same else record)
    return to_lines(live)


def print_notes(notes: Sequence[str]) -> None:
    """Print notes for the user: Pulumi shows what a provider writes to standard error."""
    for note in notes:
        print(note, file=sys.stderr)


class DnsRecordsProvider(Provider):
    """Publishes, compares and removes records; every change is a compare-and-swap."""

    def check(self, _olds: Props, news: Props) -> CheckResult:
        """Ask the server whether it would accept the records, in a preview and before `up`."""
        if news["sink"] != RFC2136 or not all_known(news):
            return CheckResult(news, [])
        found = problems(news)
        if not found and not _olds:
            try:
                rehearse({}, news)
            except DnsError as error:
                found = [describe(error)]
        return CheckResult(news, [CheckFailure("", problem) for problem in found])

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        """Publish again if an input changed, or if refresh found other records live.

        A change that would fail raises here, so in the preview already.
        """
        changed = changed_keys(_olds, _news, INPUTS)
        if _olds.get("records") != _olds.get("wanted"):
            changed.append("records")
        if changed and _news["sink"] == RFC2136 and all_known(_news):
            with deployment_errors():
                rehearse(_olds, _news)
        return difference(changed)

    def create(self, props: Props) -> CreateResult:
        """Publish the records, or check that a person has."""
        return CreateResult(ID, self._settle({}, props))

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        """Publish changed records and remove those that are no longer wanted."""
        return UpdateResult(self._settle(_olds, _news))

    def read(self, id_: str, props: Props) -> ReadResult:
        """Return what is live."""
        with deployment_errors():
            return ReadResult(id_, {**props, "records": live_lines(props)})

    def delete(self, _id: str, _props: Props) -> None:
        """Remove the records that are still as published; the manual sink changes nothing."""
        if _props["sink"] != RFC2136:
            return
        with deployment_errors():
            server = name_server(_props, UPDATE_SECONDS)
            published = from_lines(_props["wanted"])
            print_notes(updates.withdraw(server, _props["zones"], published).notes)

    def _settle(self, olds: Props, news: Props) -> Props:
        with deployment_errors():
            return publish(olds, news) if news["sink"] == RFC2136 else require_live(news)


def _wanted(records: Sequence[Record]) -> list[str]:
    try:
        return to_lines(by_key(records).values())
    except DnsError as error:
        raise pulumi.RunError(describe(error)) from None


class DnsRecords(Resource, module="tlsgate", name="DnsRecords"):
    """DNS record sets.

    Outputs: `records`, their zone lines (`corp.example. 3600 IN MX 10 mx1.corp.example.`), sorted.
    """

    records: pulumi.Output[list[str]]

    def __init__(
        self, name: str, args: DnsRecordsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        if args.sink == RFC2136 and (args.server is None or args.tsig_key_file is None):
            raise pulumi.RunError(
                "tlsgate:dns: the sink rfc2136 needs tlsgate:dns.server and"
                " tlsgate:dns.tsigKeyFile. Set them, or set the sink to manual"
            )
        records = args.records
        props: dict[str, Any] = {
            "wanted": (
                records.apply(_wanted) if isinstance(records, pulumi.Output) else _wanted(records)
            ),
            "sink": args.sink,
            "server": args.server.host if args.server else None,
            "port": args.server.port if args.server else None,
            "zones": list(args.zones),
            "tsig_key_file": args.tsig_key_file,
            "records": None,
        }
        super().__init__(DnsRecordsProvider(), name, props, opts)
