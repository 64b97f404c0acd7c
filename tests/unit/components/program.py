"""The Pulumi program run on mocks: what it registers with the engine, and in which order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime import mocks, rpc

from tests.unit.components.stack_config import changed, write_project

ISSUED: list[dict[str, Any]] = [{"name": "mx1.corp.example", "names": ["mx1.corp.example"]}]
KEYS = {"mx1.corp.example": "ab" * 32}
ACCOUNT = "https://ca.lab.example:14000/my-account/1"
RESULTS: dict[str, Any] = {
    "account": {"accounts": [ACCOUNT, None]},
    "issue": {"account": ACCOUNT, "certificates": ISSUED, "keys": KEYS},
    "policy-served": {"id": "0123456789abcdef", "domains": 2},
}
"""What the jobs' containers would print."""


@dataclass(frozen=True, slots=True)
class Registered:
    """One resource as the engine gets it."""

    urn: str
    type: str
    name: str
    """Without the gateway's name in front."""
    inputs: dict[str, Any]
    depends: frozenset[str]
    """URNs."""
    retained: bool
    """Whether `pulumi destroy` leaves the thing itself."""


def role_of(name: str) -> str:
    """The name of a resource without that of its gateway, `gateway` or `<x>-gateway`, in front."""
    return re.sub(r"^([a-z]+-)?gateway-", "", name)


class RecordingMonitor(mocks.MockMonitor):
    """Keeps every request. At a preview, what a provider would add is unknown."""

    def __init__(self, *, preview: bool = False) -> None:
        super().__init__(Answers(preview))
        self.preview = preview
        self.registered: list[Registered] = []
        self.requests: list[Any] = []
        """As they came, but for the stack's own."""

    def RegisterResource(self, request: Any) -> Any:
        """Keep the request, then answer as mocks do."""
        response = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        if request.type != "pulumi:pulumi:Stack":
            self.requests.append(request)
            self.registered.append(
                Registered(
                    urn=response.urn,
                    type=request.type,
                    name=role_of(request.name),
                    inputs=rpc.deserialize_properties(request.object, keep_unknowns=True),
                    depends=frozenset(request.dependencies),
                    retained=request.retainOnDelete,
                )
            )
        return response


class Answers(mocks.Mocks):
    """What the providers would answer."""

    def __init__(self, preview: bool) -> None:
        self.preview = preview

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], None]:
        """No function is called."""
        raise NotImplementedError(args.token)

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        """The inputs, and what a real provider would add."""
        if self.preview:
            return "", args.inputs
        computed: dict[str, Any] = {}
        if args.typ == "docker:index/remoteImage:RemoteImage":
            computed = {"imageId": f"sha256:{role_of(args.name)}"}
        elif args.typ.endswith(":Job"):
            computed = {"result": RESULTS[role_of(args.name)]}
        elif args.typ.endswith(":Delivery"):
            computed = {"live": "live", "delivered": "live"}
        elif args.typ.endswith(":DnsRecords"):
            computed = {"records": args.inputs["wanted"]}
        return f"{args.name}-id", {**args.inputs, **computed}


@dataclass(frozen=True, slots=True)
class Program:
    """Everything that a run registered and exported."""

    registered: tuple[Registered, ...]
    outputs: dict[str, Any]

    def of_type(self, suffix: str) -> dict[str, Registered]:
        """The resources of a type, by name; names of one type are unique."""
        found = [one for one in self.registered if one.type.endswith(f":{suffix}")]
        assert len({one.name for one in found}) == len(found)
        return {one.name: one for one in found}

    def before(self, one: Registered) -> set[tuple[str, str]]:
        """Type and name of all that must be there before a resource is made."""
        by_urn = {other.urn: other for other in self.registered}
        left, seen = list(one.depends), set()
        while left:
            urn = left.pop()
            if urn in by_urn and urn not in seen:
                seen.add(urn)
                left += by_urn[urn].depends
        return {(by_urn[urn].type.rpartition(":")[2], by_urn[urn].name) for urn in seen}


def run(declare: Callable[[], dict[str, Any]], engine: RecordingMonitor | None = None) -> Program:
    """Run a program that returns its outputs; an error in any of them is raised."""
    engine = engine or RecordingMonitor()
    mocks.set_mocks(engine.mocks, "tlsgate", "test", engine.preview, monitor=engine)
    found: dict[str, Any] = {}

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def program() -> pulumi.Output[Any]:
        return pulumi.Output.from_input(declare()).apply(found.update)

    program()
    return Program(tuple(engine.registered), found)


def config_in(folder: Path, *changes: tuple[str, str]) -> str:
    """Write the config's files into the folder; return the config with their absolute paths."""
    config = changed(*changes)
    write_project(folder, config)
    names = ("acme-ca.pem", "extra-ca.pem", "eab.key", "pulumi.key", "agent.key", "trust-anchors")
    for name in names:
        config = config.replace(f": {name}", f": {folder}/{name}")
    return config


def texts(node: Any) -> Iterator[str]:
    """Every string in a resource's inputs."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield str(key)
            yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)
    elif isinstance(node, str):
        yield node
