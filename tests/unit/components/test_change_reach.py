"""Which resources a change of the config or list affects: not the gateway's container (D4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.components import gateway_parts
from tests.unit.components.program import config_in
from tests.unit.components.stack_config import as_pulumi_gives
from tests.unit.partners.partner_files import load, record
from tlsgate_pulumi.inputs import Inputs, parse_inputs, raw_values
from tlsgate_pulumi.settings import Endpoint, Settings


@pytest.fixture(scope="module", autouse=True)
def same_images() -> Iterator[None]:
    """Fixed digests, so that nobody who edits a source while the tests run changes one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "tlsgate_pulumi.build_context.build_digest", lambda _root, role: f"{role:0<64}"
        )
        yield


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    folder = tmp_path_factory.mktemp("reach")
    config = config_in(folder, ('  tlsgate:relayhost: "[out.corp.example]:587"\n', ""))
    raw = {**raw_values(as_pulumi_gives(config)), "partners": str(folder / "partners")}
    return Inputs(parse_inputs(raw, lambda _: ("", 0)).settings, load(acme=record()))


def declared(inputs: Inputs) -> dict[str, dict[str, Any]]:
    """Type and name of every resource → its inputs."""
    program = gateway_parts.declared(inputs)
    return {f"{one.type.rpartition(':')[2]} {one.name}": one.inputs for one in program.registered}


@pytest.fixture(scope="module")
def before(inputs: Inputs) -> dict[str, dict[str, Any]]:
    return declared(inputs)


def reach(before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> set[str]:
    names = before.keys() | after.keys()
    return {name for name in names if before.get(name) != after.get(name)}


LISTS = {
    "added": {"acme": record(), "beta": record(name="Beta", domains="[beta.example]")},
    "tightened": {"acme": record(outbound="{verify: dane}")},
    "replaced": {"beta": record(name="Beta", domains="[beta.example]")},
}


@pytest.mark.parametrize("files", LISTS.values(), ids=LISTS)
def test_a_change_of_the_list_reaches_the_list_alone(
    inputs: Inputs, before: dict[str, dict[str, Any]], files: dict[str, str]
) -> None:
    after = declared(replace(inputs, partners=load(**files)))
    assert reach(before, after) == {"PartnerList partners", "Delivery partner-list"}


def with_domain(settings: Settings) -> Settings:
    zones = (*settings.dns.zones, "more.example")
    return replace(
        settings,
        domains=(*settings.domains, "more.example"),
        dns=replace(settings.dns, zones=zones),
    )


RECORDS = {"DnsRecords addresses", "DnsRecords mail-records", "DnsRecords policy-ids"}
CHANGES = {
    "queue lifetime": (
        lambda old: replace(old, queue=replace(old.queue, lifetime="3d")),
        {"Delivery partner-list"},
    ),
    "a domain more": (
        with_domain,
        {
            *RECORDS,
            "Delivery partner-list",
            "Delivery policy-host-config",
            "VolumeFiles agent-files",
            "Job issue",
            "Job policy-served",
        },
    ),
    "policy": (
        lambda old: replace(old, mta_sts=replace(old.mta_sts, mode="testing")),
        {"Delivery policy-host-config", "Job policy-served", "DnsRecords policy-ids"},
    ),
    "another CA": (
        lambda old: replace(old, acme=replace(old.acme, profile="shortlived")),
        {"VolumeFiles agent-files", "Job issue"},
    ),
    "published port": (
        lambda old: replace(old, ports=replace(old.ports, smtp=Endpoint("192.0.2.3", 25))),
        {"Container gateway"},
    ),
    "zones of the resolver": (
        lambda old: replace(old, resolver=replace(old.resolver, stub_zones=())),
        {"VolumeFiles resolver-files", "Container resolver"},
    ),
    "TTL": (
        lambda old: replace(old, dns=replace(old.dns, ttl=120)),
        {*RECORDS, "VolumeFiles agent-files", "Job issue"},
    ),
}


@pytest.mark.parametrize(("change", "reached"), CHANGES.values(), ids=CHANGES)
def test_a_change_of_the_config_reaches_what_it_must(
    inputs: Inputs, before: dict[str, dict[str, Any]], change: Any, reached: set[str]
) -> None:
    after = declared(replace(inputs, settings=change(inputs.settings)))
    assert reach(before, after) == reached


def test_the_same_config_gives_the_same_resources(
    inputs: Inputs, before: dict[str, dict[str, Any]]
) -> None:
    assert reach(before, declared(inputs)) == set()
