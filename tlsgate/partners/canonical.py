"""A partner file in its canonical form, with its comments: `tlsgate partners fmt`.

The form is stable: it depends only on what the file says, and formatting it again changes nothing.
Comments stay with their keys; blank lines, quotes and the order of keys are normalised.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tlsgate.partners.comments import Comments, read_comments
from tlsgate.partners.format import yaml_lines
from tlsgate.partners.load import read_drafts
from tlsgate.partners.model import Partner
from tlsgate.problems import Problem

SCHEMA_HINT = "# yaml-language-server: $schema=partner.schema.json"
"""The line that makes an editor complete and check a partner file."""


@dataclass(frozen=True, slots=True)
class Formatted:
    """The canonical text of a file; None if it has problems."""

    text: str | None
    problems: tuple[Problem, ...]


def format_file(data: bytes, file: str) -> Formatted:
    """Return the canonical form of one file's bytes. Never raises."""
    problems: list[Problem] = []
    partners = [draft.partner for draft in read_drafts(data, file, None, problems)]
    if problems:
        return Formatted(None, tuple(problems))
    text = data.decode("utf-8").replace("\r\n", "\n")
    comments = read_comments(text) if "#" in text else [Comments() for _ in partners]
    documents = (
        "".join(f"{line}\n" for line in _document(partner, notes))
        for partner, notes in zip(partners, comments, strict=True)
        if partner is not None
    )
    return Formatted("---\n".join(documents), ())


def _document(partner: Partner, comments: Comments) -> Iterator[str]:
    lines = list(yaml_lines(partner))
    written = [path for path, _ in lines]
    above = _homes(comments, written)
    yield from comments.head
    for path, line in lines:
        indent = " " * (len(line) - len(line.lstrip(" -")))
        yield from (f"{indent}{text}" for text in above.get(path, ()))
        beside = comments.beside.get(path)
        yield f"{line}  {beside}" if beside else line
    yield from above.get("", ())
    yield from comments.foot


def _homes(comments: Comments, written: list[str]) -> dict[str, list[str]]:
    """Return the comments above each key; those of a key that is left out go to its section."""
    homes: dict[str, list[str]] = {}
    left_out = {path: [text] for path, text in comments.beside.items() if path not in written}
    for notes in (comments.above, left_out):
        for path, texts in notes.items():
            homes.setdefault(_home(path, written), []).extend(texts)
    return homes


def _home(path: str, written: list[str]) -> str:
    """Return the key itself or the section that it is in; "" if neither is written."""
    while path and path not in written:
        path = path.rpartition(".")[0]
    return path
