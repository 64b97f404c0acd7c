"""Several gateways of one program: what they must not share on a Docker engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pytest

from tests.unit.components.gateway_parts import declared, inputs_of
from tests.unit.components.program import Program, run
from tlsgate_pulumi.docker_engine import DockerEngine
from tlsgate_pulumi.gateway import MailGateway
from tlsgate_pulumi.inputs import Inputs
from tlsgate_pulumi.neighbours import Claim, clashes
from tlsgate_pulumi.settings import Endpoint, NetworkSettings, PortSettings, Settings

ANY = "0.0.0.0"  # noqa: S104 - of a host, in a test
NO_PORTS = PortSettings(None, None, None, None)


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inputs:
    for variable in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(variable, raising=False)
    found = inputs_of(tmp_path)
    return replace(found, settings=replace(found.settings, ports=NO_PORTS), stack="test")


def apart(inputs: Inputs, **changes: Any) -> Inputs:
    """The same gateway in a subnet of its own."""
    network = NetworkSettings("172.31.99.0/24", None)
    return replace(inputs, settings=replace(inputs.settings, network=network), **changes)


def claims(inputs: Inputs, *stacks: str) -> list[Claim]:
    return [Claim(f"g{at}", "", stack, inputs.settings) for at, stack in enumerate(stacks)]


def both(east: Inputs, west: Inputs) -> Callable[[], dict[str, Any]]:
    def program() -> dict[str, Any]:
        MailGateway("east-gateway", east)
        MailGateway("west-gateway", west)
        return {}

    return program


def test_a_claim_has_the_name_of_everything_that_is_made(inputs: Inputs) -> None:
    dns = replace(inputs.settings.dns, caa_account_uri=True)
    program = declared(replace(inputs, settings=replace(inputs.settings, dns=dns)))
    (mine,) = claims(inputs, "test")
    assert mine.volumes() == names(program, "Volume")
    deliveries = program.of_type("Delivery").values()
    writers = program.of_type("VolumeFiles").values()
    assert mine.containers() == {
        *names(program, "Container"),
        *names(program, "Job"),
        *(f"{one.inputs['server']}-delivery" for one in deliveries),
        *(f"{one.inputs['volume']}-writer" for one in writers),
    }


def names(program: Program, kind: str) -> set[str]:
    return {one.inputs["name"] for one in program.of_type(kind).values()}


def test_one_stack_name_for_two_gateways_is_refused(inputs: Inputs) -> None:
    with pytest.raises(pulumi.RunError) as refused:
        run(both(inputs, apart(inputs)))
    remedy = "Give each gateway a stack name that does not begin with the other's"
    assert str(refused.value).splitlines() == [
        f"MailGateway west-gateway: stack: 'test' gives {kind} the same names as 'test' of"
        f" MailGateway east-gateway ({name} and {more} more). {remedy}"
        for kind, name, more in (
            ("containers", "tlsgate-test-account", 12),
            ("volumes", "tlsgate-test-acme", 10),
        )
    ]


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ("zq7", "zq7-resolver", ["volumes"]),
        ("zq7-agent", "zq7", ["volumes"]),
        ("zq7", "zq7-policy-host", ["volumes"]),
        ("zq7", "zq7-policy", []),
        ("zq7", "zq7-other", []),
        ("zq7", "zq70", []),
    ],
)
def test_stack_names_that_give_the_same_names_are_refused(
    inputs: Inputs, first: str, second: str, shared: list[str]
) -> None:
    mine, other = claims(inputs, first, second)
    found = clashes(mine, replace(other, settings=apart(inputs).settings))
    assert [line.partition(" gives ")[2].partition(" ")[0] for line in found] == shared


def test_overlapping_subnets_are_refused(inputs: Inputs) -> None:
    with pytest.raises(pulumi.RunError) as refused:
        run(both(inputs, replace(inputs, stack="other")))
    subnet = inputs.settings.network.subnet
    assert str(refused.value) == (
        f"MailGateway west-gateway: network.subnet: {subnet} overlaps with {subnet} of MailGateway"
        " east-gateway on the same Docker engine. Choose another subnet"
    )


@pytest.mark.parametrize(("subnet", "count"), [("10.0.0.0/24", 1), ("10.0.5.0/24", 0)])
def test_gateways_in_one_network_need_different_addresses(
    inputs: Inputs, subnet: str, count: int
) -> None:
    mine, other = (
        replace(one, settings=in_network(inputs.settings, block), is_network_joined=True)
        for one, block in zip(claims(inputs, "a", "b"), ("10.0.0.0/16", subnet), strict=True)
    )
    assert len(clashes(mine, other)) == count
    assert len(clashes(mine, replace(other, is_network_joined=False))) == 1


def in_network(settings: Settings, subnet: str) -> Settings:
    return replace(settings, network=NetworkSettings(subnet, "shared"))


@pytest.mark.parametrize(
    ("one", "two", "refused"),
    [
        (ANY, ANY, True),
        ("192.0.2.1", ANY, True),
        ("192.0.2.1", "192.0.2.2", False),
        (ANY, "::", False),
        ("::", "2001:db8::1", True),
    ],
)
def test_a_port_is_published_once(inputs: Inputs, one: str, two: str, refused: bool) -> None:
    mine, other = claims(inputs, "a", "b")
    mine = replace(mine, settings=publishing(inputs, Endpoint(one, 25)))
    other = replace(other, settings=publishing(apart(inputs), Endpoint(two, 25)))
    told = (
        f"MailGateway g0: ports: {Endpoint(one, 25)} is published by MailGateway g1 on the same"
        f" Docker engine, as {Endpoint(two, 25)}. Choose another address or port"
    )
    assert clashes(mine, other) == ([told] if refused else [])
    elsewhere = publishing(apart(inputs), Endpoint(two, 26))
    assert clashes(mine, replace(other, settings=elsewhere)) == []


def publishing(inputs: Inputs, smtp: Endpoint) -> Settings:
    return replace(inputs.settings, ports=replace(NO_PORTS, smtp=smtp))


def test_on_two_engines_all_may_be_the_same(inputs: Inputs) -> None:
    run(both(replace(inputs, engine="tcp://a:1"), replace(inputs, engine="tcp://b:1")))


def test_engines_that_are_known_later_are_compared_as_well(inputs: Inputs) -> None:
    host = pulumi.Output.from_input("tcp://a:1")

    def program() -> dict[str, Any]:
        east = replace(inputs, engine=DockerEngine(host))
        return both(east, replace(inputs, engine="tcp://a:1"))()

    with pytest.raises(pulumi.RunError, match="gives containers the same names"):
        run(program)


def test_another_run_starts_anew(inputs: Inputs) -> None:
    run(lambda: {"hosts": MailGateway("east-gateway", inputs).hosts})
    run(lambda: {"hosts": MailGateway("west-gateway", inputs).hosts})
