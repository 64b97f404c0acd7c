"""A rule: the data of a Pulumi policy, and a function that returns what is wrong with a resource.

A rule reads only the values that it checks. If one of them is not known at a preview, the rule is
advisory there, and mandatory again at `up`. The defaults of options are in the schema.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyConfigSchema,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)

CONTAINER = "docker:index/container:Container"
IMAGE = "docker:index/remoteImage:RemoteImage"
_DYNAMIC = "pulumi-python:dynamic/tlsgate:"
DELIVERY = f"{_DYNAMIC}Delivery"
VOLUME_FILES = f"{_DYNAMIC}VolumeFiles"
JOB = f"{_DYNAMIC}Job"
DNS_RECORDS = f"{_DYNAMIC}DnsRecords"
SHOWN = 10

Props = Mapping[str, Any]
Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CheckedResource:
    """A resource as a rule gets it. `stack`: the stack's name. `today`: in UTC."""

    type: str
    name: str
    props: Props
    stack: str
    today: date
    options: Options

    @property
    def files(self) -> Mapping[str, str]:
        """The files that the resource delivers: name → content."""
        return self.props.get("files") or {}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    `check` yields what is wrong with one resource of these types, each with what to do. `options`
    is the schema of the configuration; every property has a default.
    """

    name: str
    description: str
    types: tuple[str, ...]
    check: Callable[[CheckedResource], Iterable[str]]
    options: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    level: EnforcementLevel = EnforcementLevel.MANDATORY

    def policy(self) -> Policy:
        """Return the rule as a Pulumi policy."""

        def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
            if args.resource_type not in self.types:
                return
            resource = CheckedResource(
                type=args.resource_type,
                name=args.name,
                props=args.props,
                stack=stack_of(args.urn),
                today=today(),
                options=with_defaults(self.options, args.get_config()),
            )
            for fault in self.check(resource):
                report(fault, None)

        return ResourceValidationPolicy(
            name=self.name,
            description=self.description,
            validate=validate,
            enforcement_level=self.level,
            config_schema=_schema(self.options),
        )


@dataclass(frozen=True, slots=True)
class StackRule:
    """A rule over the whole stack: as `Rule`, but `check` gets all resources of the types."""

    name: str
    description: str
    types: tuple[str, ...]
    check: Callable[[list[CheckedResource]], Iterable[str]]
    options: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    level: EnforcementLevel = EnforcementLevel.MANDATORY

    def policy(self) -> Policy:
        """Return the rule as a Pulumi policy."""

        def validate(args: StackValidationArgs, report: ReportViolation) -> None:
            options = with_defaults(self.options, args.get_config())
            resources = [
                CheckedResource(
                    one.resource_type, one.name, one.props, stack_of(one.urn), today(), options
                )
                for one in args.resources
                if one.resource_type in self.types
            ]
            for fault in self.check(resources):
                report(fault, None)

        return StackValidationPolicy(
            name=self.name,
            description=self.description,
            validate=validate,
            enforcement_level=self.level,
            config_schema=_schema(self.options),
        )


def today() -> date:
    """Return the day, in UTC."""
    return datetime.now(UTC).date()


def stack_of(urn: str) -> str:
    """Return the stack's name: `urn:pulumi:<stack>::<project>::…`."""
    return urn.removeprefix("urn:pulumi:").partition("::")[0]


def with_defaults(schema: Mapping[str, dict[str, Any]], given: Options) -> Options:
    """Return every option of a rule: as configured, or its default."""
    return {key: given.get(key, described["default"]) for key, described in schema.items()}


def some(names: Iterable[str]) -> str:
    """Return the first names, and the number of the others."""
    every = list(names)
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + more


def _schema(options: Mapping[str, dict[str, Any]]) -> PolicyConfigSchema | None:
    return PolicyConfigSchema(dict(options)) if options else None
