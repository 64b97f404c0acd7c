"""The gateway as it is declared passes every policy; the resources are its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pulumi_policy import EnforcementLevel, Policy

from policies.containers import RULES as CONTAINER_RULES
from policies.rule import (
    CONTAINER,
    DELIVERY,
    DNS_RECORDS,
    IMAGE,
    JOB,
    VOLUME_FILES,
    Rule,
    with_defaults,
)
from policies.rules import POLICIES, RULES
from tests.policies.run_rules import Resource, check_resource, check_stack
from tests.unit.components import gateway_parts
from tests.unit.components.program import config_in
from tests.unit.components.stack_config import as_pulumi_gives
from tests.unit.partners.partner_files import load, record
from tlsgate_pulumi.gateway import CAPABILITIES
from tlsgate_pulumi.inputs import parse_inputs, raw_values

ADVISORY = {"partner-review-due"}
DIGEST = "debian:trixie-slim@sha256:" + "ab" * 32
PINNED = ("  tlsgate:tlsRpt:", f"  tlsgate:images: {{base: '{DIGEST}'}}\n  tlsgate:tlsRpt:")


def declared(folder: Path, *changes: tuple[str, str]) -> list[Resource]:
    """Type and inputs of all that a gateway registers; its only partner is Acme."""
    relay = ('  tlsgate:relayhost: "[out.corp.example]:587"\n', "")
    raw = raw_values(as_pulumi_gives(config_in(folder, relay, *changes)))
    inputs = parse_inputs({**raw, "partners": str(folder / "partners")}, lambda _: ("", 0))
    program = gateway_parts.declared(replace(inputs, partners=load(acme=record())))
    return [(one.type, one.inputs) for one in program.registered]


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> list[Resource]:
    return declared(tmp_path_factory.mktemp("declared"), PINNED)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_gateway_passes(rule: Rule, resources: list[Resource]) -> None:
    seen = [one for one in resources if one[0] in rule.types]
    assert {type_ for type_, _ in seen} == set(rule.types)
    if isinstance(rule, Rule):
        # Built images have an id of the engine's own, which the mocks cannot know.
        built = rule.name == "images-pinned"
        reported = [
            check_resource(
                rule.name, (type_, {**props, "image": DIGEST} if built else props), stack="lab"
            )
            for type_, props in seen
        ]
        assert reported == [[] for _ in seen]
    else:
        assert check_stack(rule.name, seen) == []


def test_the_types_are_those_that_the_program_registers(resources: list[Resource]) -> None:
    assert {CONTAINER, DELIVERY, DNS_RECORDS, IMAGE, JOB, VOLUME_FILES} <= {t for t, _ in resources}


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_levels(policy: Policy) -> None:
    advisory = policy.name in ADVISORY
    level = EnforcementLevel.ADVISORY if advisory else EnforcementLevel.MANDATORY
    assert policy.enforcement_level is level


def test_the_allowed_capabilities_are_those_that_postfix_needs() -> None:
    (rule,) = (rule for rule in CONTAINER_RULES if rule.name == "container-capabilities")
    assert with_defaults(rule.options, {})["allowed"] == sorted(CAPABILITIES)


def test_a_lab_ca_is_for_stacks_that_are_not_production(resources: list[Resource]) -> None:
    (agent,) = (
        one for one in resources if one[0] == VOLUME_FILES and "agent.json" in one[1]["files"]
    )
    assert check_resource("production-ca", agent, stack="demo") == []
    assert check_resource("production-ca", agent, stack="production") == [
        "directory of the production stack production is https://ca.lab.example:14000/dir, a"
        " staging or lab CA. Set tlsgate:acme.directory to a CA that senders trust"
    ]
