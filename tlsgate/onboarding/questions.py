"""What only people know of a new partner: given beforehand, asked, or told as missing, all at once.

Names and keys that only DNS names are never taken without a word from the partner.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, TypeVar

from tlsgate.partners.model import Verify
from tlsgate.partners.values import (
    NAME_LENGTH,
    RefusedError,
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


class MissingError(Exception):
    """Nobody can be asked, and this is needed: one line each."""

    def __init__(self, missing: list[str]) -> None:
        super().__init__("\n".join(["Needed to go on:", *(f"  {one}" for one in missing)]))


@dataclass(frozen=True, slots=True)
class Given:
    """What is known beforehand; None and () for what is not."""

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
    """What the record and the letter say beside what was found out."""

    name: str
    contact: str
    agreed: date
    review: date
    own_domains: tuple[str, ...]
    ask: str
    mx: tuple[str, ...]
    server_keys: tuple[str, ...]


class Person:
    """Whoever sits at the terminal. `read` returns a line, "" at the end of the input."""

    def __init__(self, read: Callable[[], str], say: Callable[[str], object]) -> None:
        self._read = read
        self._say = say

    def answer(self, question: str, parse: Callable[[str], T], default: str = "") -> T:
        """Ask until the answer can be read. Raises MissingError at the end of the input."""
        while True:
            self._say(f"{question}{f' [{default}]' if default else ''}: ")
            line = self._read()
            if not line:
                raise MissingError([f"{question}: the input has ended"])
            text = line.strip() or default
            try:
                return parse(text)
            except RefusedError as refusal:
                self._say(f"  {shown(text)} {refusal.message}. {refusal.remedy}.\n")

    def confirm(self, question: str) -> bool:
        """Whether the answer is yes."""
        said: str = self.answer(f"{question} [y/N]", str)
        return said.lower() in {"y", "yes"}


def collect(given: Given, proposal: Proposal, today: date, person: Person | None) -> Answers:
    """Return all answers; without a person, the defaults. Raises MissingError."""
    missing: list[str] = []

    def answered(
        known: T | None, question: str, parse: Callable[[str], T], default: str, option: str = ""
    ) -> T:
        if known is not None:
            return known
        if person is not None:
            return person.answer(question, parse, default)
        if not default:
            missing.append(f"{option}: {question[0].lower()}{question[1:]}")
            default = f"missing.{given.domain}"
        return parse(default)

    name = answered(given.name, "Name of the organisation", _parse_name, "", "--name NAME")
    postmaster = f"postmaster@{given.domain}"
    contact = answered(given.contact, "Address of its postmaster", parse_address, postmaster)
    agreed = answered(given.agreed, "Day of the agreement", parse_date, today.isoformat())
    in_a_year = next_year(agreed).isoformat()
    review = answered(given.review, "Day by which to confirm it again", parse_date, in_a_year)
    own = given.own_domains or (
        answered(None, "A mail domain of our own", parse_domain, "", "--own-domain DOMAIN"),
    )
    names, keys = given.mx, given.server_keys
    if proposal.mx and not names:
        found = ", ".join(visible(one) for one in proposal.mx)
        if person is None:
            missing.append(
                f"--mx NAME: its certificates are for {found}, as only DNS says; have the partner"
                f" confirm the names (--verify {Verify.PKIX} asks for the domain's own)"
            )
        elif person.confirm(
            f"Its certificates are for {found}, as only DNS says. Has the partner confirmed that?"
        ):
            names = proposal.mx
    if proposal.verify is Verify.PIN and not keys:
        found = ", ".join(proposal.public_keys) or "none that could be seen"
        if person is None or not proposal.public_keys:
            missing.append(f"--server-key SHA256: a key that the partner confirms; seen: {found}")
        elif person.confirm(f"Its servers' keys are {found}. Has the partner confirmed them?"):
            keys = proposal.public_keys
        else:
            missing.append("--server-key SHA256: a key that the partner confirms")
    if missing:
        raise MissingError(missing)
    ask = given.ask or f"postmaster@{own[0]}"
    return Answers(name, contact, agreed, review, own, ask, names, keys)


def next_year(day: date) -> date:
    """The same day a year later; of 29 February, the day before."""
    return day.replace(year=day.year + 1, day=min(day.day, 28) if day.month == 2 else day.day)
