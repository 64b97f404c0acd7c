"""What only people know about a new partner: from options or prompts; the rest is reported missing.

Names and keys that come from DNS alone are never used unless the partner has confirmed them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, TypeVar

from tlsgate.partners.model import Verify
from tlsgate.partners.values import (
    NAME_LENGTH,
    InvalidValueError,
    default_review,
    parse_address,
    parse_date,
    parse_domain,
    parse_text,
)
from tlsgate.problems import shown, visible

if TYPE_CHECKING:
    from tlsgate.onboarding.proposal import Proposal

T = TypeVar("T")

_parse_name = parse_text(NAME_LENGTH)


class MissingAnswersError(Exception):
    """Required answers are missing and there is no prompt: one line each."""

    def __init__(self, missing: list[str]) -> None:
        super().__init__("\n".join(["Missing:", *(f"  {one}" for one in missing)]))


@dataclass(frozen=True, slots=True)
class GivenAnswers:
    """The answers given as options; None and () for those that were not given."""

    domain: str
    name: str | None = None
    contact: str | None = None
    agreed: date | None = None
    review: date | None = None
    own_domains: tuple[str, ...] = ()
    ask: str | None = None
    mx: tuple[str, ...] = ()
    server_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answers:
    """All answers for the record and the letter."""

    name: str
    contact: str
    agreed: date
    review: date
    own_domains: tuple[str, ...]
    ask: str
    mx: tuple[str, ...]
    server_keys: tuple[str, ...]


class Prompter:
    """Asks the user. `read` returns a line, "" at the end of the input; `say` shows a text."""

    def __init__(self, read: Callable[[], str], say: Callable[[str], object]) -> None:
        self._read = read
        self._say = say

    def answer(self, question: str, parse: Callable[[str], T], default: str = "") -> T:
        """Ask until the answer is valid. Raises MissingAnswersError at the end of the input."""
        while True:
            self._say(f"{question}{f' [{default}]' if default else ''}: ")
            line = self._read()
            if not line:
                raise MissingAnswersError([f"{question}: the input has ended"])
            text = line.strip() or default
            try:
                return parse(text)
            except InvalidValueError as refusal:
                self._say(f"  {shown(text)} {refusal.message}. {refusal.remedy}.\n")

    def confirm(self, question: str) -> bool:
        """Return whether the answer is yes."""
        said: str = self.answer(f"{question} [y/N]", str)
        return said.lower() in {"y", "yes"}


def collect_answers(
    given: GivenAnswers, proposal: Proposal, today: date, prompter: Prompter | None
) -> Answers:
    """Return all answers; without a prompter, the defaults are used. Raises MissingAnswersError."""
    missing: list[str] = []

    def answered(
        known: T | None, question: str, parse: Callable[[str], T], default: str, option: str = ""
    ) -> T:
        if known is not None:
            return known
        if prompter is not None:
            return prompter.answer(question, parse, default)
        if not default:
            missing.append(f"{option}: {question[0].lower()}{question[1:]}")
            default = f"missing.{given.domain}"
        return parse(default)

    name = answered(given.name, "Name of the organisation", _parse_name, "", "--name NAME")
    postmaster = f"postmaster@{given.domain}"
    contact = answered(given.contact, "Address of its postmaster", parse_address, postmaster)
    agreed = answered(given.agreed, "Day of the agreement", parse_date, today.isoformat())
    in_a_year = default_review(agreed).isoformat()
    review = answered(given.review, "Day by which to confirm it again", parse_date, in_a_year)
    own = given.own_domains or (
        answered(None, "A mail domain of our own", parse_domain, "", "--own-domain DOMAIN"),
    )
    names, keys = given.mx, given.server_keys
    if proposal.mx and not names:
        found = ", ".join(visible(one) for one in proposal.mx)
        if prompter is None:
            missing.append(
                f"--mx NAME: its certificates are for {found}, which only DNS names; ask the"
                f" partner to confirm them (--verify {Verify.PKIX} requires the domain's own name)"
            )
        elif prompter.confirm(
            f"Its certificates are for {found}, which only DNS names. Has the partner confirmed it?"
        ):
            names = proposal.mx
    if proposal.verify is Verify.PIN and not keys:
        found = ", ".join(proposal.public_keys) or "none found"
        if prompter is None or not proposal.public_keys:
            missing.append(f"--server-key SHA256: a key that the partner confirms; found: {found}")
        elif prompter.confirm(f"Its servers' keys are {found}. Has the partner confirmed them?"):
            keys = proposal.public_keys
        else:
            missing.append("--server-key SHA256: a key that the partner confirms")
    if missing:
        raise MissingAnswersError(missing)
    ask = given.ask or f"postmaster@{own[0]}"
    return Answers(name, contact, agreed, review, own, ask, names, keys)
