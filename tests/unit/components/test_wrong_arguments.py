"""What a program gives wrongly is told in a line, in the program's words, and never as a stack."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pytest

from tests.unit.components.stack_config import CONFIG, as_pulumi_gives
from tests.unit.partners.partner_files import record
from tlsgate.partners.model import Mode
from tlsgate.problems import ProblemsError
from tlsgate_pulumi import (
    AcmeArgs,
    DnsArgs,
    FallbackArgs,
    GatewayHostArgs,
    ImagesArgs,
    InternalArgs,
    LimitsArgs,
    MailGatewayArgs,
    MtaStsArgs,
    NetworkArgs,
    ResolverArgs,
    load_partners,
)
from tlsgate_pulumi.arguments_reader import read_args
from tlsgate_pulumi.inputs import parse_inputs, raw_values

LATER: Any = pulumi.Output.from_input("later")
HTTP = "http-01"


@pytest.fixture
def args(project: Path) -> MailGatewayArgs:
    (project / "partners").mkdir()
    (project / "partners/acme.yaml").write_text(record())
    return MailGatewayArgs(
        domains=["corp.example"],
        gateways=[GatewayHostArgs(name="mx1.corp.example", addresses=["192.0.2.3"])],
        internal=InternalArgs(server="mail.corp.example:25"),
        mta_sts=MtaStsArgs(addresses=["192.0.2.4"]),
        dns=DnsArgs(sink="manual"),
        acme=AcmeArgs(challenge=HTTP),
        partners="partners",
        stack="test",
    )


def refused(args: MailGatewayArgs) -> list[str]:
    """What the user sees, without the gateway's name and the count."""
    with pytest.raises(pulumi.RunError) as error:
        read_args("mail", args)
    return [line.removeprefix("MailGateway mail: ") for line in str(error.value).splitlines()[:-1]]


A_FOLDER = "must be the path of a folder, or a list from load_partners. [wrong-type]"
UNKNOWN = "comes from another resource, but must be known when the program runs."
WRONG: list[tuple[dict[str, Any], list[str]]] = [
    ({"partners": None}, [f"partners: {A_FOLDER}"]),
    ({"partners": 5}, [f"partners: {A_FOLDER}"]),
    ({"partners": LATER}, [f"partners: {A_FOLDER}"]),
    ({"partners": ["x"]}, ["partners[0]: must be a Partner, as load_partners returns them."]),
    ({"engine": 5}, ["engine: must be a string or DockerEngine(…)."]),
    ({"engine": LATER}, ["engine: must be a string or DockerEngine(…)."]),
    ({"stack": 5}, ["stack: must be a string that is known when the program runs."]),
    ({"build_folder": None}, ["build_folder: must be a string that is known"]),
    ({"images": ImagesArgs(ids=None)}, ["images.ids: must be a dict of image ids by role."]),  # type: ignore[arg-type]
    ({"images": ImagesArgs(ids={"policy": 5})}, ["images.ids.policy: must be the id of an"]),  # type: ignore[dict-item]
    ({"images": ImagesArgs(ids={"policy": ""})}, ["images.ids.policy: must be the id of an"]),
    ({"images": ImagesArgs(base="debian\nRUN x")}, ["images.base: 'debian\\nRUN x' contains a"]),
    ({"network": NetworkArgs(existing="")}, ["network.existing: is empty."]),
    ({"acme": AcmeArgs(challenge=HTTP, profile="a\nb")}, ["acme.profile: 'a\\nb' contains a line"]),
    (
        {"acme": AcmeArgs(challenge=HTTP, eab="x", fallback="y", limits=3)},  # type: ignore[arg-type]
        [
            "acme.eab: must be EabArgs(…).",
            "acme.fallback: must be FallbackArgs(…).",
            "acme.limits: must be LimitsArgs(…).",
        ],
    ),
    (
        {
            "acme": AcmeArgs(
                challenge=HTTP,
                fallback=FallbackArgs(directory="https://ca.example/", eab={}),  # type: ignore[arg-type]
                limits=LimitsArgs(orders=5),  # type: ignore[arg-type]
            )
        },
        ["acme.fallback.eab: must be EabArgs(…).", "acme.limits.orders: must be LimitArgs(…)."],
    ),
    ({"routes": 5}, ["routes: is not a mapping. Use a dict. ["]),
    ({"resolver": ResolverArgs(stub_zones=["x"])}, ["resolver.stub_zones: is not a mapping. Use"]),  # type: ignore[arg-type]
    ({"milters": "inet:x:1"}, ["milters: is not a list. Use a list"]),
    ({"domains": LATER}, [f"domains: {UNKNOWN}"]),
    ({"domains": [LATER]}, [f"domains[0]: {UNKNOWN}"]),
    ({"dns": DnsArgs(sink="manual", server=LATER)}, [f"dns.server: {UNKNOWN}"]),
    ({"dns": DnsArgs(sink="manual", tsig_key_file=LATER)}, [f"dns.tsig_key_file: {UNKNOWN}"]),
    ({"routes": {"x.example": LATER}}, [f"routes.x.example: {UNKNOWN}"]),
    ({"mta_sts": MtaStsArgs(addresses=LATER)}, [f"mta_sts.addresses: {UNKNOWN}"]),
]


@pytest.mark.parametrize(("changes", "said"), WRONG)
def test_a_wrong_argument_is_told_once(
    args: MailGatewayArgs, changes: dict[str, Any], said: list[str]
) -> None:
    lines = refused(replace(args, **changes))
    assert len(lines) == len(said), lines
    for line, start in zip(lines, said, strict=True):
        assert line.startswith(start.removesuffix(" [")), lines


def test_partners_that_overlap_are_refused_by_name(args: MailGatewayArgs) -> None:
    (acme,) = load_partners("partners")
    child = replace(acme, name="Child", domains=("x.acme.example",), mode=Mode.OBSERVE, file="")
    (line,) = refused(replace(args, partners=[child, acme]))
    assert line.startswith("partners[0] (Child): domains[0]: `x.acme.example` is below")
    assert line.endswith("[domain-overlap]")


def test_partners_with_a_domain_of_the_gateway_are_refused(args: MailGatewayArgs) -> None:
    (acme,) = load_partners("partners")
    mine = replace(acme, domains=("corp.example",))
    (line,) = refused(replace(args, partners=[mine]))
    assert line.startswith("partners/acme.yaml (Acme Motors AG): domains[0]: `corp.example` is")


def test_a_list_is_checked_and_kept(args: MailGatewayArgs) -> None:
    listed = load_partners(Path("partners"))
    assert read_args("mail", replace(args, partners=listed)).partners == listed
    assert read_args("mail", args).partners == listed


def test_no_partners_are_allowed_as_a_folder_and_as_a_list(
    args: MailGatewayArgs, project: Path
) -> None:
    (project / "empty").mkdir()
    every: tuple[Any, ...] = ("empty", project / "empty", [], ())
    for partners in every:
        assert read_args("mail", replace(args, partners=partners)).partners == ()


@pytest.mark.parametrize("key", ['images: {base: "a\\nb"}', 'relayhost: "x.example\\n"'])
def test_a_line_end_in_the_config_is_refused(key: str) -> None:
    raw = raw_values(
        as_pulumi_gives(f"{CONFIG.replace('  tlsgate:relayhost: ', '  #')}  tlsgate:{key}\n")
    )
    with pytest.raises(ProblemsError, match="contains a line end"):
        parse_inputs(raw, lambda _: ("", 0), ())
