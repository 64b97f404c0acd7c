"""Gateways in another program: several of them, with options, beside other resources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pulumi_docker
import pytest

from tests.unit.components.gateway_parts import outputs_of
from tests.unit.components.program import Answers, RecordingMonitor, Registered, run
from tests.unit.components.stack_config import tsig
from tests.unit.partners.partner_files import record
from tlsgate_pulumi import (
    DnsArgs,
    DockerEngine,
    GatewayHostArgs,
    ImagesArgs,
    InternalArgs,
    MailGateway,
    MailGatewayArgs,
    MtaStsArgs,
    NetworkArgs,
    PortsArgs,
)

HOSTS = {"far": "tcp://far:2376", "same": "tcp://h:2376"}
"""Docker contexts."""
DYNAMIC = ("Job", "Delivery", "VolumeFiles")
ROLES = ("postfix", "policy", "policy-host", "resolver", "agent", "notices")
IDS = {role: f"sha256:{role}" for role in ROLES}


@pytest.fixture
def args(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MailGatewayArgs:
    """A gateway's arguments; no image is built."""
    for variable in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "wide.key").write_text(tsig("wide", "cHVsdW1pLXNlY3JldC1mb3ItdGVzdHM="))
    (tmp_path / "narrow.key").write_text(tsig("narrow", "YWdlbnQtc2VjcmV0LWZvci10ZXN0cyE="))
    (tmp_path / "partners").mkdir()
    (tmp_path / "partners/acme.yaml").write_text(record())
    return MailGatewayArgs(
        domains=["corp.example"],
        gateways=[GatewayHostArgs(name="mx1.corp.example", addresses=["192.0.2.3"])],
        internal=InternalArgs(server="mail.corp.example:25", networks=["10.0.0.0/8"]),
        mta_sts=MtaStsArgs(addresses=["192.0.2.4"]),
        dns=DnsArgs(
            server="127.0.0.1:2053",
            zones=["corp.example"],
            tsig_key_file=str(tmp_path / "wide.key"),
            agent_tsig_key_file=str(tmp_path / "narrow.key"),
        ),
        partners=tmp_path / "partners",
        images=ImagesArgs(ids=IDS),
    )


def only(declare: Callable[[], object]) -> Callable[[], dict[str, Any]]:
    """A program without outputs."""

    def program() -> dict[str, Any]:
        declare()
        return {}

    return program


def registered(declare: Callable[[], Any], *, preview: bool = False) -> tuple[Registered, ...]:
    return run(only(declare), RecordingMonitor(preview=preview)).registered


def requested(declare: Callable[[], Any]) -> list[Any]:
    """The requests as the engine gets them."""
    engine = RecordingMonitor()
    run(only(declare), engine)
    return engine.requests


def gateway(
    args: MailGatewayArgs, opts: pulumi.ResourceOptions | None = None
) -> Callable[[], MailGateway]:
    return lambda: MailGateway("gateway", args, opts)


def of_kind(found: tuple[Registered, ...], *kinds: str) -> list[Registered]:
    return [one for one in found if one.type.endswith(tuple(f":{kind}" for kind in kinds))]


def test_a_gateway_has_its_outputs(args: MailGatewayArgs) -> None:
    outputs = run(lambda: outputs_of(MailGateway("gateway", args))).outputs
    assert outputs["hosts"] == ["mx1.corp.example"]
    assert outputs["smtp"] == "0.0.0.0:25"
    assert outputs["partners"]["count"] == 1
    assert "mx1.corp.example. 300 IN A 192.0.2.3" in outputs["records"]


def test_names_on_the_engine_are_the_stacks_and_the_gateways(args: MailGatewayArgs) -> None:
    for given, prefix in (args, "tlsgate-test-gateway-"), (replace(args, stack="x"), "tlsgate-x-"):
        made = of_kind(registered(gateway(given)), "Container", "Volume")
        assert all(one.inputs["name"].startswith(prefix) for one in made)


def test_two_gateways_in_one_program_share_no_name(args: MailGatewayArgs) -> None:
    def both() -> None:
        MailGateway("east-gateway", args)
        network = NetworkArgs(subnet="172.31.26.0/24")
        ports = PortsArgs(smtp="none", internal="none", https="none")
        MailGateway("west-gateway", replace(args, network=network, ports=ports))

    found = registered(both)
    urns = [one.urn for one in found]
    assert len(urns) == len(set(urns))
    names = [one.inputs["name"] for one in of_kind(found, "Container", "Volume", "Network", "Job")]
    assert len(names) == len(set(names))
    assert {one.urn.rpartition("::")[2].partition("-")[0] for one in found} == {"east", "west"}


def test_dependencies_of_the_caller_come_before_every_part(args: MailGatewayArgs) -> None:
    def program() -> None:
        disk = pulumi_docker.Volume("disk", name="disk")
        MailGateway("gateway", args, pulumi.ResourceOptions(depends_on=[disk]))

    disk, *parts = registered(program)
    assert len(parts) > 30
    custom = [one for one in parts if not one.type.startswith("tlsgate:")]
    assert [one.urn for one in custom if disk.urn not in one.depends] == []


def test_protection_and_transformations_reach_every_part(args: MailGatewayArgs) -> None:
    seen = []

    def note(found: pulumi.ResourceTransformationArgs) -> None:
        seen.append(found.name)

    opts = pulumi.ResourceOptions(protect=True, transformations=[note])
    made = requested(gateway(args, opts))
    assert all(one.protect for one in made)
    assert sorted(seen) == sorted(one.name for one in made)


def test_aliases_of_the_caller_apply_to_the_component(args: MailGatewayArgs) -> None:
    opts = pulumi.ResourceOptions(aliases=[pulumi.Alias(name="old")])
    made = requested(gateway(args, opts))
    (component,) = [one for one in made if one.type == "tlsgate:index:MailGateway"]
    assert old_names(component) == {"old"}


def old_names(request: Any) -> set[str]:
    return {
        *(alias.rpartition("::")[2] for alias in request.aliasURNs),
        *(alias.spec.name for alias in request.aliases),
    }


def test_every_part_has_the_name_of_older_stacks_as_an_alias(
    args: MailGatewayArgs,
) -> None:
    _, *parts = requested(gateway(args))
    assert len(parts) > 30
    for one in parts:
        assert old_names(one) == {one.name.removeprefix("gateway-")}


def test_a_renamed_gateway_and_its_engine_are_found_under_their_old_names(
    args: MailGatewayArgs,
) -> None:
    opts = pulumi.ResourceOptions(aliases=[pulumi.Alias(name="old")])
    given = replace(args, engine="tcp://h:2376")
    made = requested(lambda: MailGateway("new-gateway", given, opts))
    assert len(made) > 30
    for one in made:
        assert old_names(one) == {f"old{one.name.removeprefix('new-gateway')}"}


def test_the_first_gateway_renamed_is_found_under_its_names_without_prefix(
    args: MailGatewayArgs,
) -> None:
    urn = pulumi.Output.from_input("urn:pulumi:test::tlsgate::tlsgate:index:MailGateway::gateway")
    opts = pulumi.ResourceOptions(aliases=[urn])
    _, *parts = requested(lambda: MailGateway("new-gateway", args, opts))
    assert len(parts) > 30
    for one in parts:
        role = one.name.removeprefix("new-gateway-")
        assert old_names(one) == {role, f"gateway-{role}"}


def test_another_gateway_claims_no_old_name(args: MailGatewayArgs) -> None:
    made = requested(lambda: MailGateway("other-gateway", args))
    assert [one.name for one in made if old_names(one)] == []


def test_some_arguments_may_be_outputs_of_other_resources(args: MailGatewayArgs) -> None:
    def program() -> None:
        network = pulumi_docker.Network("shared", name="shared")
        address = pulumi.Output.from_input("192.0.2.77")
        MailGateway(
            "gateway",
            replace(
                args,
                gateways=[GatewayHostArgs(name="mx1.corp.example", addresses=[address])],
                network=NetworkArgs(existing=network.name),
            ),
        )

    found = registered(program)
    networks = {
        one.inputs["networksAdvanced"][0]["name"] for one in of_kind(found, "Container")
    } | {one.inputs.get("network") for one in of_kind(found, "Job")}
    assert networks == {"shared"}
    lines = [line for one in of_kind(found, "DnsRecords") for line in one.inputs["wanted"]]
    assert "mx1.corp.example. 300 IN A 192.0.2.77" in lines
    assert not [line for line in lines if "192.0.2.1" in line.split()]
    (postfix,) = [one for one in of_kind(found, "Delivery") if one.name == "partner-list"]
    assert "192.0.2.77" in "".join(postfix.inputs["files"].values())
    assert len(postfix.inputs["generation"]) >= 16


def test_an_output_that_is_no_address_is_refused(args: MailGatewayArgs) -> None:
    later = pulumi.Output.from_input("eip-1.example")
    given = replace(args, mta_sts=MtaStsArgs(addresses=[later]))
    with pytest.raises(
        pulumi.RunError, match=r"'eip-1\.example' was given as a public address, but is not"
    ):
        registered(gateway(given))


def test_all_problems_are_reported_at_once_with_names_of_arguments(args: MailGatewayArgs) -> None:
    wrong = replace(
        args,
        domains="corp.example",
        dns=DnsArgs(server="127.0.0.1", caa_account_uri=True),
        tls_rpt=pulumi.Output.from_input("mailto:a@corp.example"),  # type: ignore[arg-type]
        images=ImagesArgs(ids={"postfx": "sha256:1"}),
        stack="Test",
        internal=InternalArgs(server="mail.corp.example", recipients="list"),
    )
    engine = RecordingMonitor()
    with pytest.raises(pulumi.RunError) as refused:
        run(only(gateway(wrong)), engine)
    assert engine.registered == []
    lines = str(refused.value).splitlines()
    assert all(line.startswith("MailGateway gateway: ") for line in lines[:-1])
    assert [line.removeprefix("MailGateway gateway: ").partition(":")[0] for line in lines] == [
        "dns.agent_tsig_key_file",
        "dns.caa_account_uri",
        "dns.tsig_key_file",
        "dns.zones",
        "domains",
        "images.ids.postfx",
        "internal.recipients_folder",
        "stack",
        "tls_rpt",
        "9 problems.",
    ]
    assert "tlsgate:" not in str(refused.value)
    assert "caaAccountUri" not in str(refused.value)


def test_an_argument_of_the_wrong_class_is_reported_with_the_right_one(
    args: MailGatewayArgs,
) -> None:
    wrong = replace(args, dns={"server": "x"}, gateways=["mx1"])  # type: ignore[arg-type, list-item]
    with pytest.raises(pulumi.RunError) as refused:
        registered(gateway(wrong))
    assert str(refused.value).splitlines() == [
        "MailGateway gateway: dns: must be DnsArgs(…). [wrong-type]",
        "MailGateway gateway: gateways[0]: must be GatewayHostArgs(…). [wrong-type]",
        "2 problems.",
    ]


def engines(found: tuple[Registered, ...]) -> list[Any]:
    return [one.inputs.get("engine") for one in of_kind(found, *DYNAMIC)]


def test_without_an_engine_the_environment_decides_for_all(args: MailGatewayArgs) -> None:
    found = registered(gateway(args))
    assert len(engines(found)) > 4
    assert set(engines(found)) == {None}
    assert of_kind(found, "docker") == []


@pytest.mark.parametrize("given", ["tcp://h:2376", DockerEngine("tcp://h:2376", "/certs")])
def test_all_parts_use_the_given_engine(args: MailGatewayArgs, given: DockerEngine | str) -> None:
    declared = RecordingMonitor()
    run(only(gateway(replace(args, engine=given))), declared)
    (provider,) = [one for one in declared.registered if one.type == "pulumi:providers:docker"]
    address = {"host": "tcp://h:2376"}
    if isinstance(given, DockerEngine):
        address["certPath"] = "/certs"
    assert provider.inputs == address
    expected = {"host": "tcp://h:2376"} | (
        {"cert_path": "/certs"} if isinstance(given, DockerEngine) else {}
    )
    assert all(engine == expected for engine in engines(tuple(declared.registered)))
    docker = [one for one in declared.requests if one.type.startswith("docker:")]
    assert len(docker) > 10
    assert all(one.provider.startswith(provider.urn) for one in docker)


def test_all_parts_use_the_callers_provider(args: MailGatewayArgs) -> None:
    def program() -> None:
        provider = pulumi_docker.Provider("far", host="tcp://far:2376")
        MailGateway("gateway", args, pulumi.ResourceOptions(providers=[provider]))

    assert all(engine == {"host": "tcp://far:2376"} for engine in engines(registered(program)))


def test_an_engine_and_a_provider_together_are_refused(args: MailGatewayArgs) -> None:
    def program() -> None:
        provider = pulumi_docker.Provider("far", host="tcp://far:2376")
        opts = pulumi.ResourceOptions(provider=provider)
        MailGateway("gateway", replace(args, engine="tcp://h:2376"), opts)

    with pytest.raises(pulumi.RunError, match="both name a Docker engine"):
        registered(program)


def test_a_provider_by_context_is_refused(args: MailGatewayArgs) -> None:
    def program() -> None:
        provider = pulumi_docker.Provider("far", context="far")
        MailGateway("gateway", args, pulumi.ResourceOptions(providers=[provider]))

    with pytest.raises(pulumi.RunError, match="by a Docker context"):
        registered(program)


@pytest.mark.parametrize(
    ("context", "told"),
    [
        (
            "far",
            "DOCKER_CONTEXT: the Docker context far leads to tcp://far:2376, but the gateway's",
        ),
        ("lost", "DOCKER_CONTEXT: the Docker context lost leads to no known address, but the"),
    ],
)
@pytest.mark.parametrize("is_given", [True, False], ids=["engine", "provider"])
def test_a_context_of_the_environment_is_no_second_engine(
    args: MailGatewayArgs, monkeypatch: pytest.MonkeyPatch, context: str, told: str, is_given: bool
) -> None:
    """The plugin goes by DOCKER_CONTEXT before its provider's `host`."""

    def program() -> None:
        if is_given:
            MailGateway("gateway", replace(args, engine="tcp://h:2376"))
            return
        provider = pulumi_docker.Provider("far", host="tcp://h:2376")
        MailGateway("gateway", args, pulumi.ResourceOptions(providers=[provider]))

    monkeypatch.setattr("tlsgate_pulumi.docker_engine._context_host", HOSTS.get)
    monkeypatch.setenv("DOCKER_CONTEXT", context)
    with pytest.raises(pulumi.RunError, match=told):
        registered(program)
    monkeypatch.setenv("DOCKER_CONTEXT", "same")
    assert set(map(str, engines(registered(program)))) == {"{'host': 'tcp://h:2376'}"}


def test_a_preview_declares_the_same_as_an_update(args: MailGatewayArgs) -> None:
    later = pulumi.Output.from_input("192.0.2.77")
    given = replace(args, mta_sts=MtaStsArgs(addresses=[later]), engine="tcp://h:2376")
    previewed, made = (
        {one.urn: sorted(one.inputs) for one in registered(gateway(given), preview=preview)}
        for preview in (True, False)
    )
    assert previewed == made


class Skipping(RecordingMonitor):
    """Answers as the engine does for a resource that `up --target` leaves out: with its inputs."""

    class _Inputs(Answers):
        def new_resource(self, args: Any) -> tuple[str, dict[str, Any]]:
            return "", args.inputs

    def __init__(self) -> None:
        super().__init__()
        self.mocks = self._Inputs(preview=False)


@pytest.mark.parametrize("bound", [False, True])
def test_what_is_not_targeted_has_no_outputs_and_breaks_nothing(
    args: MailGatewayArgs, bound: bool
) -> None:
    issuers = ["ca.example"] if bound else []
    dns = replace(args.dns, caa_issuers=issuers, caa_account_uri=bound)
    given = replace(args, dns=dns)
    outputs = run(lambda: outputs_of(MailGateway("gateway", given)), Skipping()).outputs
    assert outputs["certificates"] == []
    assert outputs["acmeAccount"] is None
    assert outputs["records"] == []
    assert outputs["policyId"] is not None
