"""RFC 8461's texts: the first of two fields counts, an mx that is no host is ignored."""

from __future__ import annotations

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tlsgate.mta_sts.policy import (
    MAX_AGE_LIMIT,
    MODES,
    MX_LIMIT,
    PolicyFault,
    StsPolicy,
    is_host_pattern,
    parse_policy,
    policy_id,
)

GOOD = ("version: STSv1", "mode: enforce", "mx: mx.d.example", "max_age: 86400")
PARSED = StsPolicy("enforce", ("mx.d.example",), 86_400)
VERSION, MODE, MX, AGE = GOOD


def parsed(*lines: str, end: str = "\r\n") -> StsPolicy:
    return parse_policy(end.join(lines) + end)


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("\r\n".join(GOOD), PARSED),
        ("\n".join(GOOD), PARSED),
        ("\n".join(reversed(GOOD)) + "\n\n \r\n", PARSED),
        ("\n".join(line.replace(": ", ":\t ") + " \t" for line in GOOD), PARSED),
        ("\n".join([*GOOD, "mode: none", "version: STSv2", "max_age: 1"]), PARSED),
        ("\n".join([*GOOD, "later: } match=.evil.example {", "# a remark", ": x"]), PARSED),
        ("\n".join([*GOOD, "mx: MX.D.example"]), PARSED),
        ("\n".join([*GOOD, "mx : other.example", " mx: other.example"]), PARSED),
        ("\n".join([VERSION, "mode: none", AGE]), StsPolicy("none", (), 86_400)),
        (
            "\n".join([VERSION, "mode: testing", "mx: *.d.example", MX, AGE]),
            StsPolicy("testing", ("*.d.example", "mx.d.example"), 86_400),
        ),
    ],
)
def test_policies(text: str, policy: StsPolicy) -> None:
    assert parse_policy(text) == policy


@pytest.mark.parametrize(
    "ignored",
    [
        "212.0.2.7",
        "2001:db8::1",
        "[192.0.2.1]",
        "*",
        "*.",
        "",
        "*.example",
        "mx",
        "m*.d.example",
        "mx.*.example",
        "*.*.d.example",
        "mx.d.example match=.evil.example",
        "-mx.d.example",
        "mx..example",
        ".d.example",
        "b\u00fccher.example",
        "\u212amx.example",  # a letter whose lower case is ASCII
        f"{'a' * 64}.example",
        ".".join(["a" * 60] * 5),
        "a" * 60_000,
        "a." * 30_000,
    ],
)
def test_an_mx_that_is_no_host_is_ignored_and_the_rest_applied(ignored: str) -> None:
    assert parsed(VERSION, MODE, f"mx: {ignored}", MX, AGE) == PARSED
    for mode in ("enforce", "testing"):
        with pytest.raises(PolicyFault, match="names no mx"):
            parsed(VERSION, f"mode: {mode}", f"mx: {ignored}", AGE)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("0000000000086400", 86_400),
        (str(MAX_AGE_LIMIT), MAX_AGE_LIMIT),
        (str(MAX_AGE_LIMIT + 1), MAX_AGE_LIMIT),
        ("9" * 10_000, MAX_AGE_LIMIT),
    ],
)
def test_a_max_age_over_the_maximum_is_the_maximum(text: str, seconds: int) -> None:
    assert parsed(VERSION, MODE, MX, f"max_age: {text}").max_age == seconds


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("<html>",),
        (MODE, MX, AGE),
        ("version: STSv2", VERSION, MODE, MX, AGE),
        (VERSION, MX, AGE),
        (VERSION, "mode: Enforce", MX, AGE),
        (VERSION, "mode: off", MODE, MX, AGE),
        (VERSION, MODE, AGE),
        (VERSION, MODE, MX),
        *((VERSION, MODE, MX, f"max_age: {age}") for age in ("", "-1", "1.5", "+1", "٣", "1_0")),
        (VERSION, MODE, MX, AGE, *(f"mx: mx{n}.d.example" for n in range(MX_LIMIT))),
        (VERSION, MODE, AGE, *(f"mx: m{n}.{'a' * 60}.{'b' * 60}.example" for n in range(200))),
    ],
)
def test_a_bad_policy_is_refused(lines: tuple[str, ...]) -> None:
    with pytest.raises(PolicyFault):
        parsed(*lines)


LABELS = st.text(string.ascii_letters + string.digits, min_size=1, max_size=8)
HOSTS = st.lists(LABELS, min_size=1, max_size=3).map(lambda labels: ".".join(labels) + ".example")


@given(
    st.sampled_from(MODES),
    st.lists(st.tuples(st.sampled_from(["", "*."]), HOSTS).map("".join), min_size=1, max_size=5),
    st.integers(0, MAX_AGE_LIMIT),
    st.permutations(range(4)),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_is_written_is_read_back(
    mode: str, hosts: list[str], age: int, order: list[int], end: str
) -> None:
    mx = end.join(f"mx: {host}" for host in hosts)
    lines = [VERSION, f"mode: {mode}", mx, f"max_age: {age}"]
    read = parsed(*(lines[place] for place in order), end=end)
    assert read == StsPolicy(mode, tuple(dict.fromkeys(map(str.lower, hosts))), age)
    assert parsed(*read.lines()) == read


FIELD_TEXT = st.text(max_size=30) | st.sampled_from([*GOOD, "mx: 1.2.3.4", "mode: none"])


@given(st.lists(FIELD_TEXT, max_size=12).map("\n".join))
@example("\n".join(GOOD) + "\x00")
def test_any_text_is_refused_or_has_nothing_but_checked_words(text: str) -> None:
    try:
        policy = parse_policy(text)
    except PolicyFault:
        return
    assert all(is_host_pattern(host) for host in policy.mx)
    for line in policy.lines():
        assert line.isascii()
        assert line.isprintable()
        assert not set(line) & set("{}=\\\"' ") - {" "}
        assert line.count(" ") == 1


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["v=STSv1; id=1;"], "1"),
        (["v=STSv1;id=20260101T000000"], "20260101T000000"),
        (["v=STSv1 ; later=x=y ; id=1 ; id=2"], "1"),
        (["v=spf1 -all", "v=STSv1; id=1", "v=STSv10; id=2"], "1"),
        ([], None),
        (["v=STSv1; id=1;", "v=STSv1; id=1;"], None),
        (["v=STSv1;"], None),
        (["v=STSv10; id=1"], None),
        (["id=1; v=STSv1"], None),
        (["v=STSv1; id=not-valid"], None),
        (["v=STSv1; id=not-valid; id=1"], None),
        (["v=STSv1; id=" + "1" * 33], None),
        (["v=STSv1; id=\u0663"], None),
    ],
)
def test_ids(texts: list[str], found: str | None) -> None:
    assert policy_id(texts) == found


@given(st.lists(st.text(max_size=60), max_size=3))
def test_any_record_has_an_id_or_none(texts: list[str]) -> None:
    found = policy_id(texts)
    assert found is None or (found.isascii() and found.isalnum() and len(found) <= 32)
