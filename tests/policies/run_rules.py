"""Runs one policy of the pack on resources, through the proxy that Pulumi uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pulumi_policy import (
    PolicyResource,
    PolicyResourceOptions,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import unknown_checking_proxy

from policies.rules import POLICIES

BY_NAME = {policy.name: policy for policy in POLICIES}
OPTIONS = PolicyResourceOptions(
    protect=False,
    ignore_changes=[],
    delete_before_replace=None,
    aliases=[],
    custom_timeouts=None,  # type: ignore[arg-type]
    additional_secret_outputs=[],
    parent="",
)

Resource = tuple[str, dict[str, Any]]
"""Type and inputs."""


def urn(type_: str, name: str, stack: str) -> str:
    return f"urn:pulumi:{stack}::tlsgate::tlsgate:index:MailGateway${type_}::{name}"


def check_resource(
    policy: str, resource: Resource, config: Mapping[str, Any] | None = None, stack: str = "prod-1"
) -> list[str]:
    """Return what the policy reports for one resource."""
    found: list[str] = []
    rule = BY_NAME[policy]
    assert isinstance(rule, ResourceValidationPolicy)
    type_, props = resource
    rule.validate(
        ResourceValidationArgs(
            resource_type=type_,
            props=unknown_checking_proxy(props),
            urn=urn(type_, "resource", stack),
            name="resource",
            opts=OPTIONS,
            provider=None,
            config=dict(config or {}),
        ),
        report_to(found),
    )
    return found


def check_stack(
    policy: str, resources: Iterable[Resource], config: Mapping[str, Any] | None = None
) -> list[str]:
    """Return what a policy over the whole stack reports."""
    found: list[str] = []
    rule = BY_NAME[policy]
    assert isinstance(rule, StackValidationPolicy)
    listed = [
        PolicyResource(
            resource_type=type_,
            props=unknown_checking_proxy(props),
            urn=urn(type_, f"resource-{number}", "prod-1"),
            name=f"resource-{number}",
            opts=OPTIONS,
            provider=None,
            parent=None,
            dependencies=[],
            property_dependencies={},
        )
        for number, (type_, props) in enumerate(resources)
    ]
    rule.validate(
        StackValidationArgs(listed, dict(config or {})),
        report_to(found),
    )
    return found


def report_to(found: list[str]) -> Callable[[str, str | None], None]:
    def report(message: str, _urn: str | None = None) -> None:
        found.append(message)

    return report
