"""RFC 8461, sections 3.1 and 3.2."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlsgate.render.mta_sts import MAX_AGE_LIMIT, PolicySettings, policy_id, policy_text, txt_value

SETTINGS = PolicySettings("enforce", 604800, ("mx1.corp.example", "*.mail.corp.example"))


def test_policy_is_the_text_of_the_rfc() -> None:
    assert policy_text(SETTINGS) == (
        "version: STSv1\r\nmode: enforce\r\nmx: mx1.corp.example\r\n"
        "mx: *.mail.corp.example\r\nmax_age: 604800\r\n"
    )


def test_a_policy_of_mode_none_needs_no_mx() -> None:
    assert policy_text(PolicySettings("none", 86400, ())) == (
        "version: STSv1\r\nmode: none\r\nmax_age: 86400\r\n"
    )


@pytest.mark.parametrize(
    ("mode", "max_age", "mx", "said"),
    [
        ("strict", 1, ("mx.a.example",), "mode is 'strict'"),
        ("enforce", -1, ("mx.a.example",), "max_age is -1"),
        ("enforce", MAX_AGE_LIMIT + 1, ("mx.a.example",), "max_age"),
        ("enforce", 1, (), "at least one mx"),
        ("testing", 1, ("MX.a.example",), "mx is 'MX.a.example'"),
        ("testing", 1, ("mx.a.example\r\nmode: none",), "mx is"),
        ("testing", 1, ("*",), "mx is '*'"),
        ("testing", 1, ("mx.*.example",), "mx is"),
    ],
)
def test_what_the_rfc_forbids_is_refused(
    mode: str, max_age: int, mx: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        PolicySettings(mode, max_age, mx)


@given(
    st.sampled_from(["enforce", "testing"]),
    st.integers(0, MAX_AGE_LIMIT),
    st.lists(st.from_regex(r"\A(\*\.)?[a-z]{1,9}\.example\Z"), min_size=1, max_size=5),
)
def test_id_fits_the_grammar_and_changes_with_the_policy(
    mode: str, max_age: int, mx: list[str]
) -> None:
    text = policy_text(PolicySettings(mode, max_age, tuple(mx)))
    identifier = policy_id(text)
    assert re.fullmatch(r"[A-Za-z0-9]{1,32}", identifier)
    assert policy_id(text) == identifier
    assert policy_id(policy_text(PolicySettings("none", max_age, tuple(mx)))) != identifier
    assert txt_value(identifier) == f"v=STSv1; id={identifier};"


@pytest.mark.parametrize("identifier", ["", "a" * 33, "2026-11", "1;v=2"])
def test_an_id_outside_the_grammar_is_refused(identifier: str) -> None:
    with pytest.raises(ValueError, match="1 to 32"):
        txt_value(identifier)
