"""Where answers come from: options, then prompts, otherwise everything missing is reported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import pytest

from tests.unit.onboarding.observed_partner import TODAY
from tlsgate.onboarding.prompts import (
    Answers,
    GivenAnswers,
    MissingAnswersError,
    Prompter,
    collect_answers,
)
from tlsgate.onboarding.proposal import Proposal
from tlsgate.partners.model import Verify

PKIX = Proposal(Verify.PKIX)
NAMES = Proposal(Verify.PKIX, mx=("mx.provider.example",))
KEYS = Proposal(Verify.PIN, public_keys=("aa", "bb"))
NOTHING = GivenAnswers("acme.example")
ENOUGH = replace(NOTHING, name="Acme", own_domains=("corp.example",))
DEFAULTS = Answers(
    name="Acme",
    contact="postmaster@acme.example",
    agreed=TODAY,
    review=date(2027, 11, 24),
    own_domains=("corp.example",),
    ask="postmaster@corp.example",
    mx=(),
    server_keys=(),
)


class Said:
    """A user who gives these answers; the prompts shown are in `text`."""

    def __init__(self, *lines: str) -> None:
        self._lines: Iterator[str] = iter([f"{line}\n" for line in lines])
        self.text = ""
        self.prompter = Prompter(lambda: next(self._lines, ""), self._show)

    def _show(self, text: str) -> None:
        self.text += text

    @property
    def rest(self) -> list[str]:
        return list(self._lines)


@pytest.mark.parametrize(
    ("given", "proposal", "missing"),
    [
        (NOTHING, PKIX, ["--name", "--own-domain"]),
        (NOTHING, NAMES, ["--name", "--own-domain", "--mx"]),
        (replace(ENOUGH, name=None), KEYS, ["--name", "--server-key"]),
        (ENOUGH, Proposal(Verify.PIN), ["--server-key"]),
    ],
)
def test_without_prompts_everything_missing_is_reported(
    given: GivenAnswers, proposal: Proposal, missing: list[str]
) -> None:
    with pytest.raises(MissingAnswersError) as reported:
        collect_answers(given, proposal, TODAY, None)
    lines = str(reported.value).splitlines()[1:]
    assert [line.split()[0] for line in lines] == missing


def test_without_prompts_the_defaults_are_used() -> None:
    assert collect_answers(ENOUGH, PKIX, TODAY, None) == DEFAULTS


def test_given_answers_are_used() -> None:
    given = replace(
        ENOUGH,
        contact="mail@acme.example",
        agreed=date(2026, 1, 2),
        review=date(2026, 12, 1),
        ask="mail@corp.example",
        mx=("mx.acme.example",),
        server_keys=("aa",),
    )
    answers = collect_answers(given, NAMES, TODAY, Said().prompter)
    assert answers == Answers(
        name="Acme",
        contact="mail@acme.example",
        agreed=date(2026, 1, 2),
        review=date(2026, 12, 1),
        own_domains=("corp.example",),
        ask="mail@corp.example",
        mx=("mx.acme.example",),
        server_keys=("aa",),
    )


def test_a_prompt_is_repeated_until_the_answer_is_valid() -> None:
    said = Said("", "Acme", "nobody", "mail@acme.example", "2026-02-30", "", "", "corp.example")
    answers = collect_answers(NOTHING, PKIX, TODAY, said.prompter)
    assert answers == replace(DEFAULTS, contact="mail@acme.example")
    assert "`nobody` is not a mail address" in said.text
    assert "`2026-02-30` is not a real date" in said.text
    assert "[2027-11-24]" in said.text
    assert said.rest == []


@pytest.mark.parametrize(
    ("answer", "mx"), [("y", NAMES.mx), ("YES", NAMES.mx), ("", ()), ("n", ()), ("perhaps", ())]
)
def test_names_from_dns_are_used_only_if_the_partner_confirmed_them(
    answer: str, mx: tuple[str, ...]
) -> None:
    given = replace(ENOUGH, contact="a@acme.example", agreed=TODAY, review=date(2027, 1, 1))
    said = Said(answer)
    assert collect_answers(given, NAMES, TODAY, said.prompter).mx == mx
    assert "mx.provider.example, which only DNS names" in said.text


def test_keys_are_used_only_if_the_partner_confirmed_them() -> None:
    given = replace(ENOUGH, contact="a@acme.example", agreed=TODAY, review=date(2027, 1, 1))
    assert collect_answers(given, KEYS, TODAY, Said("y").prompter).server_keys == ("aa", "bb")
    with pytest.raises(MissingAnswersError, match="--server-key"):
        collect_answers(given, KEYS, TODAY, Said("n").prompter)


def test_the_end_of_the_input_is_not_an_answer() -> None:
    with pytest.raises(MissingAnswersError, match="Name of the organisation: the input has ended"):
        collect_answers(NOTHING, PKIX, TODAY, Said().prompter)
