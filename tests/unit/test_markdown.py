"""Every Markdown page of the repository: no table is cut, and each link leads to a file."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
MARKDOWN = MarkdownIt("gfm-like", {"linkify": False})


def pages() -> list[str]:
    """The Markdown files that git knows, as paths from the root."""
    done = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.md"],
        check=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    return [path for path in done.stdout.splitlines() if (ROOT / path).exists()]


def rows_outside_tables(text: str) -> list[str]:
    """The lines of paragraphs that look like a table's row: such a table was cut."""
    tokens = MARKDOWN.parse(text)
    lines = [
        line
        for before, token in zip([Token("", "", 0), *tokens], tokens, strict=False)
        if token.type == "inline" and before.type == "paragraph_open"
        for line in token.content.splitlines()
    ]
    return [line for line in lines if line.startswith("|")]


def uneven_rows(text: str) -> list[int]:
    """The numbers of lines whose cells are more than the table's head: a forge drops those."""
    found, columns = [], 0
    for token in MARKDOWN.parse(text):
        if token.type == "thead_open" and token.map:
            head = text.splitlines()[token.map[0]]
            columns = cells(head)
        if token.type == "tr_open" and token.map and columns:
            number = token.map[0]
            if cells(text.splitlines()[number]) > columns:
                found.append(number + 1)
    return found


def cells(row: str) -> int:
    return len(re.split(r"(?<!\\)\|", row.strip().strip("|")))


def test_a_cut_table_is_found() -> None:
    table = "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
    assert rows_outside_tables(f"{table}\nText with a | in it.\n") == []
    assert rows_outside_tables(f"{table}\n| 3 | 4 |\n") == ["| 3 | 4 |"]
    assert uneven_rows(table) == []
    assert uneven_rows(f"{table}| 3 | 4 | 5 |\n") == [4]


@pytest.mark.parametrize("page", pages())
def test_no_table_is_cut(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    assert rows_outside_tables(text) == []
    assert uneven_rows(text) == []


def links(text: str) -> list[str]:
    """The paths that a page links to, without anchors."""
    inline = [child for token in MARKDOWN.parse(text) for child in token.children or []]
    targets = [str(token.attrs["href"]) for token in inline if token.type == "link_open"]
    return [target.partition("#")[0] for target in targets if not re.match(r"[a-z]+:|#", target)]


@pytest.mark.parametrize("page", pages())
def test_each_link_leads_to_a_file(page: str) -> None:
    folder = (ROOT / page).parent
    assert [
        link for link in links((ROOT / page).read_text("utf-8")) if not (folder / link).exists()
    ] == []


def test_each_page_of_docs_is_in_the_contents() -> None:
    """Otherwise `make docs` fails, because readers would not find the page."""
    docs = ROOT / "docs"
    listed = re.findall(r"^(?!:)[\w/-]+$", (docs / "index.md").read_text("utf-8"), re.M)
    there = [path for path in docs.rglob("*.md") if path.name != "index.md"]
    assert sorted(listed) == sorted(str(path.relative_to(docs).with_suffix("")) for path in there)
