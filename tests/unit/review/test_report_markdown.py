"""Nothing that somebody else wrote is interpreted as Markdown, HTML, a link or a mention."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.unit.partners.test_partner_weakening import ACME, BETA, until
from tlsgate.partners.diff import diff_lists
from tlsgate.partners.model import Partner
from tlsgate.problems import Problem
from tlsgate.review.report import make_report, refusal_markdown, to_markdown
from tlsgate.review.text import VALUE_LENGTH, Value, listed, markdown, plain, value
from tlsgate.tls import Strength

ATTACKS = [
    "`code`",
    "``` ```",
    "` | **bold** | `",
    "<script>alert(1)</script>",
    "<!-- hidden",
    "[link](https://evil.example)",
    "![image](https://evil.example/x.png)",
    "https://evil.example",
    "@octocat @org/team",
    "#1 GH-1 a/b#1",
    "a | b",
    "--- | ---",
    "\\`",
    "&lt;b&gt; &#64;octocat",
    ":tada: $x$ ~~s~~",
    "/approve",
    "```suggestion",
]


class Shown(HTMLParser):
    """The tags of a page, the text in code and the text outside."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.code: list[str] = []
        self.outside = ""
        self._in_code = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        assert not attrs
        if tag == "code":
            self._in_code = True
            self.code.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "code":
            self._in_code = False

    def handle_data(self, data: str) -> None:
        if self._in_code:
            self.code[-1] += data
        else:
            self.outside += data


def shown(text: str) -> Shown:
    page = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return Shown(page.render(text))


@given(st.text(max_size=60) | st.text("`\\ |<>[]()@#*_~\n&", max_size=30))
def test_a_value_is_shown_as_it_is_and_nothing_else_of_it_is_read(text: str) -> None:
    one = value(text)
    assert "\n" not in markdown((one,))
    page = shown(f"- before {markdown((one,))} after @ours\n")
    assert page.tags <= {"ul", "li", "code"}
    if one.strip():
        # A renderer may fold the spaces of a code span, as HTML does.
        assert " ".join(page.code[0].split()) == " ".join(one.split())
        assert page.outside.split() == ["before", "after", "@ours"]
    else:
        assert "(nothing)" in page.outside


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_name_stays_a_name_in_every_line(attack: str) -> None:
    hostile = replace(
        ACME,
        name=attack,
        exceptions=(replace(until(9), reason=attack, approved_by=f"{attack}@corp.example"),),
    )
    for old, new in (
        ([BETA], [hostile, BETA]),
        ([hostile, BETA], [BETA]),
        ([hostile], [ACME]),
        ([ACME], [hostile]),
        ([hostile, BETA], [replace(BETA, domains=("acme.example", "beta.example"))]),
    ):
        text = report(old, new)
        page = shown(text)
        assert page.tags <= {"h2", "h3", "p", "ul", "li", "strong", "code"}
        assert attack in page.code
        assert attack not in page.outside
        assert "**" not in page.outside


def report(old: list[Partner], new: list[Partner], limit: int = 0) -> str:
    return to_markdown(make_report(diff_lists(old, new), (len(old), len(new))), limit)


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_problem_stays_one_line(attack: str) -> None:
    problem = Problem(f"partners/{attack}", 1, attack, "bad", f"{attack}\nis bad", attack)
    page = shown(refusal_markdown([problem], "head"))
    assert page.tags == {"h2", "p", "ul", "li", "code"}
    assert attack not in page.outside


def test_values_are_short_and_printable() -> None:
    assert value("a\nb\x1b\u202e") == "a\\nb\\x1b\\u202e"
    assert len(value("x" * 1000)) == VALUE_LENGTH
    assert plain(listed(list("abcdefg"))) == "a, b, c, d, e and 2 more"
    assert markdown(("so: ", Value("a`b"))) == "so: `` a`b ``"


OLDER = replace(ACME, tls=Strength.COMPATIBLE)


@pytest.mark.parametrize(
    ("old", "new", "title", "line"),
    [
        (
            [ACME],
            [OLDER],
            "### WEAKENED",
            "- **WEAKENED** `Acme` (`acme.example` and below): tls: strong → compatible; mail is"
            " also sent and accepted over older encryption, which is easier to break",
        ),
        (
            [OLDER],
            [ACME],
            "### Tightened",
            "- `Acme` (`acme.example` and below): tls: compatible → strong; mail is held or refused"
            " where only older encryption is offered",
        ),
        (
            [],
            [OLDER],
            "### Added",
            "- `Acme` (`acme.example` and below): out: a public CA's certificate for the domain"
            " itself; in: TLS; older encryption is enough; mail without this is held or refused",
        ),
    ],
)
def test_the_words_of_the_strength(
    old: list[Partner], new: list[Partner], title: str, line: str
) -> None:
    lines = report(old, new).splitlines()
    assert title in lines
    assert line in lines


def test_the_lines_of_a_change_in_words() -> None:
    old = [replace(ACME, exceptions=(until(1),)), BETA]
    new = [
        replace(ACME, exceptions=(until(9, "plaintext"),), review=date(2028, 1, 1)),
        replace(BETA, domains=("beta.example", "beta-shop.example"), contact="it@beta.example"),
    ]
    assert report(old, new).splitlines()[4:] == [
        "### WEAKENED",
        "",
        "- **WEAKENED** `Acme` (`acme.example` and below): exception for outbound mail, plaintext:"
        " none → until 2026-12-09 (`late`, approved by `s@corp.example`); until 2026-12-09 mail is"
        " sent even without TLS",
        "- **WEAKENED** `Acme` (`acme.example` and below): exception for outbound mail, encrypted:"
        " until 2026-12-01 → until 2026-12-09 (`late`, approved by `s@corp.example`);"
        " until 2026-12-09 mail is sent over TLS to any server, without authentication",
        "",
        "### Added",
        "",
        "- `Beta` (`beta-shop.example` and below): out: a public CA's certificate for the domain"
        " itself; in: TLS; mail without this is held or refused",
        "",
        "### Neutral",
        "",
        "- `Acme`: review: `2027-10-01` → `2028-01-01`; the day by which the agreement must be"
        " confirmed again",
        "- `Beta`: contact: `postmaster@acme.example` → `it@beta.example`; no change to any rule",
    ]
