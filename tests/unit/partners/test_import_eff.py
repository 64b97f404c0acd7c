"""Lists in the EFF's STARTTLS Everywhere format as records: as strict, or a problem."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.partners.import_parts import imported, problems
from tests.unit.partners.test_partner_format import domains as any_domain
from tlsgate.partners.import_eff import read_eff
from tlsgate.partners.model import Mode


def policy_list(policies: object, **more: object) -> str:
    return json.dumps({"version": "0.1", "policies": policies, **more})


def test_an_eff_list_becomes_records_aliases_and_modes_too() -> None:
    partners, source = imported(
        read_eff,
        policy_list(
            {
                "a.example": {"mode": "enforce", "mxs": [".mx.a.example", "MX.b.example"]},
                "b.example": {"policy-alias": "big"},
            },
            **{
                "policy-aliases": {
                    "big": {"mode": "enforce", "mxs": ["*.big.example"]},
                    "old": {"mode": "none"},
                }
            },
        ),
    )
    assert source.problems == []
    assert [(one.domains, one.mode, one.subdomains, one.outbound.mx) for one in partners] == [
        (("a.example",), Mode.ENFORCE, False, (".mx.a.example", "mx.b.example")),
        (("b.example",), Mode.ENFORCE, False, (".big.example",)),
    ]
    assert [note.code for note in source.notes] == ["pattern", "not-used"]


@pytest.mark.parametrize("expires", ["2014-06-06T14:30:16+00:00", "2099-01-01", 0])
def test_an_expired_list_protects_as_much_as_one_that_has_not_expired(expires: object) -> None:
    policies = {"a.example": {"mode": "enforce", "mxs": ["mx.a.example"]}}
    fresh, _ = imported(read_eff, policy_list(policies))
    expired, source = imported(read_eff, policy_list(policies, expires=expires))
    assert expired == fresh
    assert (source.problems, [note.code for note in source.notes]) == ([], ["no-expiry"])


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ({"mode": "none", "mxs": ["mx.a.example"]}, "too-weak"),
        ({"mxs": ["mx.a.example"]}, "too-weak"),
        ({"mode": "enforce"}, "too-weak"),
        ({"mode": "enforce", "mxs": []}, "too-weak"),
        ({"mode": "enforce", "mxs": "mx.a.example"}, "bad-policy"),
        ("enforce", "bad-policy"),
        ({"policy-alias": "none"}, "bad-alias"),
        ({"policy-alias": "big", "mode": "enforce"}, "bad-alias"),
        ({"policy-alias": ["big"]}, "bad-alias"),
        ({"mode": "enforce", "mxs": ["mx.a.example"], "min-tls-version": "1.3"}, "not-said"),
        ({"mode": "enforce", "mxs": [".com"]}, "bad-mx"),
        ({"mode": "enforce", "mxs": [7]}, "bad-mx"),
    ],
)
def test_a_policy_that_no_record_can_express_is_a_problem(policy: object, code: str) -> None:
    aliases = {"policy-aliases": {"big": {"mode": "enforce", "mxs": ["mx.a.example"]}}}
    partners, source = imported(read_eff, policy_list({"a.example": policy}, **aliases))
    assert (partners, [problem.code for problem in source.problems]) == ([], [code])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "bad-json"),
        ("[" * 100_000, "bad-json"),
        ('{"version": "0.1", "policies": {"a.example": {}, "a.example": {}}}', "bad-json"),
        ("[]", "bad-list"),
        ('{"version": "0.1", "policies": []}', "bad-list"),
        ('{"version": "1.0", "policies": {}}', "bad-version"),
        ('{"version": "0.1", "policies": {}, "tls-blocklist": {}}', "unknown-key"),
    ],
)
def test_a_file_that_is_not_such_a_list_is_a_problem(text: str, code: str) -> None:
    assert [line for line in problems(read_eff, text) if line.endswith(f"[{code}]")]


modes = st.sampled_from(["enforce", "none", "testing", "x"])
policies = st.fixed_dictionaries(
    {"mode": modes, "mxs": st.lists(any_domain.map(lambda name: f".{name}"), max_size=3)}
)


@given(st.dictionaries(any_domain, policies, max_size=5))
def test_every_eff_policy_is_a_record_as_strict_or_a_problem(
    given_policies: dict[str, dict[str, object]],
) -> None:
    partners, source = imported(read_eff, policy_list(given_policies, expires="2000-01-01"))
    records = {partner.domains[0]: partner for partner in partners}
    for domain, policy in given_policies.items():
        if policy["mode"] == "enforce" and policy["mxs"]:
            names = policy["mxs"]
            assert isinstance(names, list)
            assert records[domain].outbound.mx == tuple(sorted(set(names)))
            assert records[domain].mode is Mode.ENFORCE
        elif domain in records:
            assert (policy["mode"], records[domain].mode) == ("testing", Mode.OBSERVE)
        else:
            keys = {problem.key for problem in source.problems}
            assert f"policies.{domain}" in keys or "mode" in keys
