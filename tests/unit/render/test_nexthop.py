from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.render.test_partner_maps import ACME
from tlsgate.render.nexthop import lint_nexthops

ALONE = replace(ACME, subdomains=False)
DIRECT = {"acme.example": "smtp:", ".acme.example": "smtp:"}


@pytest.mark.parametrize(
    ("routes", "relayhost", "keys"),
    [
        ({}, "", []),
        ({"other.example": "[192.0.2.1]"}, "", []),
        ({"notacme.example": "[192.0.2.1]"}, "", []),
        ({"acme.example": "smtp:"}, "", []),
        ({"acme.example": "acme.example"}, "", []),
        ({"acme.example": "smtp:ACME.example"}, "", []),
        ({"acme.example": "acme.example:26"}, "", ["routes[acme.example]"]),
        ({"acme.example": "[acme.example]"}, "", ["routes[acme.example]"]),
        ({"acme.example": "smtp:[192.0.2.1]:25"}, "", ["routes[acme.example]"]),
        ({".acme.example": "acme.example"}, "", ["routes[.acme.example]"]),
        ({"x.acme.example": "[192.0.2.1]"}, "", ["routes[x.acme.example]"]),
        ({".x.acme.example": "y.acme.example"}, "", ["routes[.x.acme.example]"]),
        ({"x.acme.example": "x.acme.example"}, "", []),
        ({".example": "[192.0.2.1]"}, "", ["routes[.example]"]),
        ({"*": "[192.0.2.1]"}, "", ["routes[*]"]),
        ({"*": "[192.0.2.1]", "acme.example": "smtp:"}, "", ["routes[*]"]),
        ({"*": "[192.0.2.1]", **DIRECT}, "", []),
        ({"*": "smtp:"}, "[192.0.2.1]", []),
        ({}, "relay.example", ["relayhost"]),
        ({"acme.example": "smtp:"}, "relay.example", ["relayhost"]),
        (DIRECT, "relay.example", []),
    ],
)
def test_routes_that_pass_a_policy(routes: dict[str, str], relayhost: str, keys: list[str]) -> None:
    problems = lint_nexthops([ACME], routes, ["corp.example"], relayhost)
    assert [problem.key for problem in problems] == [f"tlsgate:{key}" for key in keys]
    assert {problem.code for problem in problems} <= {"partner-diverted"}


@pytest.mark.parametrize(
    ("routes", "relayhost"),
    [({"x.acme.example": "[192.0.2.1]"}, ""), ({"acme.example": "smtp:"}, "relay.example")],
)
def test_subdomains_that_are_no_partners_may_be_routed(
    routes: dict[str, str], relayhost: str
) -> None:
    assert lint_nexthops([ALONE], routes, [], relayhost) == ()


def test_one_problem_a_route_however_many_partners() -> None:
    many = [replace(ACME, domains=(f"p{n}.example", f"q{n}.example")) for n in range(500)]
    [problem] = lint_nexthops(many, {}, [], "relay.example")
    assert "p0.example and 999 more" in problem.message
    assert "`p0.example: 'smtp:'`" in problem.remedy


def test_own_domains_are_not_routed() -> None:
    routes = {"corp.example": "[192.0.2.1]", ".corp.example": "[192.0.2.1]"}
    [problem] = lint_nexthops([], routes, ["corp.example"], "")
    assert (problem.key, problem.code) == ("tlsgate:routes[corp.example]", "own-domain-routed")
