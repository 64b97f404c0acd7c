"""Checks over the whole list: partners that conflict with each other or with our own domains."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from tlsgate.partners.domains import host_fault
from tlsgate.partners.mapping_reader import Located
from tlsgate.partners.record import Draft
from tlsgate.problems import Problem, shown

_Listed = dict[str, tuple[Located[str], Draft]]


def check_list(drafts: Sequence[Draft], own_domains: Sequence[str]) -> Iterator[Problem]:
    """Yield every conflict. Of two records in conflict, the later one is reported."""
    yield from _own_domain_faults(own_domains)
    yield from _doubled_names(drafts)
    listed: _Listed = {}
    for draft in drafts:
        for place in draft.domains:
            first = listed.setdefault(place.value, (place, draft))
            if first[1] is not draft:
                yield _doubled(place, draft, *first)
    own = frozenset(own_domains)
    above_own = {parent: domain for domain in sorted(own) for parent in _parents(domain)}
    for draft in drafts:
        for place in draft.domains:
            yield from _overlaps(place, draft, listed)
            yield from _our_own(place, draft, own, above_own)


def _own_domain_faults(own_domains: Sequence[str]) -> Iterator[Problem]:
    for position, domain in enumerate(own_domains):
        fault = host_fault(domain)
        if fault:
            message = f"{shown(domain)} {fault[0]}"
            yield Problem("", 0, f"own_domains[{position}]", "bad-domain", message, fault[1])


def _doubled_names(drafts: Iterable[Draft]) -> Iterator[Problem]:
    seen: dict[str, tuple[Located[str], Draft]] = {}
    for draft in drafts:
        if draft.name is None:
            continue
        same = draft.name.value.casefold()
        place, first = seen.setdefault(same, (draft.name, draft))
        if first is not draft:
            message = f"{shown(draft.name.value)} is already in {_at(place, first)}"
            remedy = "Merge the two records, or give each its own name"
            yield Problem(draft.file, draft.name.line, "name", "name-doubled", message, remedy)


def _doubled(place: Located[str], draft: Draft, first: Located[str], owner: Draft) -> Problem:
    message = f"{shown(place.value)} is already in {_where(first, owner)}"
    remedy = "Keep it in one of the two records"
    return Problem(draft.file, place.line, place.key, "domain-doubled", message, remedy)


def _overlaps(place: Located[str], draft: Draft, listed: _Listed) -> Iterator[Problem]:
    """Report a domain that has two owners: one lists it, another lists all below a parent of it."""
    for parent in _parents(place.value):
        found = listed.get(parent)
        if found is None:
            continue
        above, owner = found
        if owner is draft or not owner.subdomains:
            continue
        message = (
            f"{shown(place.value)} is below {shown(parent)},"
            f" which {_where(above, owner)} lists with its subdomains"
        )
        remedy = f"Keep it in one of the two records, or write `subdomains: false` in {owner.file}"
        yield Problem(draft.file, place.line, place.key, "domain-overlap", message, remedy)
        return


def _our_own(
    place: Located[str], draft: Draft, own: frozenset[str], above_own: Mapping[str, str]
) -> Iterator[Problem]:
    domain = place.value
    if domain in own:
        what, ours = "is", domain
    elif domain in above_own:
        what, ours = "is above", above_own[domain]
    else:
        what = "is below"
        ours = next((name for name in _parents(domain) if name in own), "")
    if ours:
        message = f"{shown(domain)} {what} your own domain" + (
            "" if ours == domain else f" {shown(ours)}"
        )
        remedy = "List only the partner's domains; your own are set in the stack's config"
        yield Problem(draft.file, place.line, place.key, "own-domain", message, remedy)


def _parents(domain: str) -> Iterator[str]:
    """Yield the names above a domain, the nearest first."""
    _, _, parent = domain.partition(".")
    while parent:
        yield parent
        _, _, parent = parent.partition(".")


def _where(place: Located[str], draft: Draft) -> str:
    name = f" ({draft.name.value})" if draft.name and place.line else ""
    return f"{_at(place, draft)}{name}"


def _at(place: Located[str], draft: Draft) -> str:
    """Return file and line; without a line, the record's label, which contains its name."""
    return f"{draft.file}:{place.line}" if place.line else draft.file
