"""Two gateways in one program, neither named `gateway`: every policy passes and still finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from policies.rule import CONTAINER, DELIVERY, DNS_RECORDS, Rule, StackRule
from policies.rules import RULES
from tests.policies.run_rules import Resource, check_resource, check_stack
from tests.unit.components import gateway_parts
from tests.unit.components.program import run
from tests.unit.partners.partner_files import load, record
from tlsgate_pulumi.gateway import MailGateway
from tlsgate_pulumi.inputs import Inputs
from tlsgate_pulumi.settings import Endpoint, PortSettings

NAMES = ("east", "west")
SUBNETS = {"east": "172.31.40.0/24", "west": "172.31.41.0/24"}


def of(name: str, inputs: Inputs) -> Inputs:
    """A gateway of the domain `<name>.example`, with an MTA-STS policy in mode enforce."""
    host = replace(inputs.settings.gateways[0], name=f"mx.{name}.example")
    subnet = SUBNETS[name]
    address = subnet.replace(".0/24", ".1")
    ports = PortSettings(*(Endpoint(address, port) for port in (25, 2525, 80, 443)))
    settings = replace(
        inputs.settings,
        domains=(f"{name}.example",),
        gateways=(host,),
        network=replace(inputs.settings.network, subnet=subnet),
        ports=ports,
    )
    return replace(inputs, settings=settings, partners=load(acme=record()), stack=f"x-{name}")


@pytest.fixture(scope="module")
def owned(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Resource]]:
    """All that the program registers, each with the gateway that it belongs to."""
    relay = ('  tlsgate:relayhost: "[out.corp.example]:587"\n', "")
    inputs = gateway_parts.inputs_of(tmp_path_factory.mktemp("two"), relay)
    assert inputs.settings.mta_sts.mode == "enforce"

    def both() -> dict[str, Any]:
        for name in NAMES:
            MailGateway(f"{name}-gateway", of(name, inputs))
        return {}

    return [
        (one.urn.rpartition("::")[2].partition("-")[0], (one.type, one.inputs))
        for one in run(both).registered
    ]


@pytest.fixture(scope="module")
def resources(owned: list[tuple[str, Resource]]) -> list[Resource]:
    return [resource for _, resource in owned]


def found(rule: Rule | StackRule, resources: list[Resource]) -> list[str]:
    """What a rule reports of all resources."""
    seen = [one for one in resources if one[0] in rule.types]
    if isinstance(rule, StackRule):
        return check_stack(rule.name, seen)
    return [fault for one in seen for fault in check_resource(rule.name, one, stack="lab")]


PASSED = [rule for rule in RULES if rule.name != "images-pinned"]  # the base here is a tag


@pytest.mark.parametrize("rule", PASSED, ids=lambda rule: rule.name)
def test_both_pass(rule: Rule | StackRule, resources: list[Resource]) -> None:
    assert {type_ for type_, _ in resources} >= set(rule.types)
    assert found(rule, resources) == []


def changed_files(name: str, old: str, new: str) -> Callable[[Resource], Resource]:
    def change(one: Resource) -> Resource:
        type_, props = one
        files = props.get("files") or {}
        if type_ != DELIVERY or old not in files.get(name, ""):
            return one
        return type_, {**props, "files": {**files, name: files[name].replace(old, new)}}

    return change


def container(**props: Any) -> Callable[[Resource], Resource]:
    return lambda one: (one[0], {**one[1], **props} if one[0] == CONTAINER else one[1])


def another_host(one: Resource) -> Resource:
    wanted = [line.replace(" mx.", " other.") for line in one[1].get("wanted") or ()]
    return (one[0], {**one[1], "wanted": wanted}) if one[0] == DNS_RECORDS else one


BROKEN: list[tuple[str, Callable[[Resource], Resource], str]] = [
    ("mta-sts-hosts", changed_files("mta-sts.txt", "mx: mx.", "mx: old."), "mx.{}.example is"),
    ("mta-sts-hosts", another_host, "other.{}.example is an MX host"),
    ("partner-enforced", changed_files("partner_policy", "secure", "may"), "does not authenticate"),
    ("container-root", container(readOnly=False), "writable"),
    ("container-privileges", container(privileged=True), "privileged"),
    ("container-limits", container(memory=None), "memory"),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("policy", "broken", "said"), BROKEN)
def test_a_fault_of_either_is_found(
    name: str,
    policy: str,
    broken: Callable[[Resource], Resource],
    said: str,
    owned: list[tuple[str, Resource]],
) -> None:
    (rule,) = (rule for rule in RULES if rule.name == policy)
    reported = found(rule, [broken(one) if owner == name else one for owner, one in owned])
    assert reported
    assert said.format(name) in reported[0]
