import pytest

from tlsgate.problems import Problem, ProblemsError, shown


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (
            Problem("partners/a.yaml", 12, "domains[1]", "bad-domain", "is wrong", "Write a"),
            "partners/a.yaml:12: domains[1]: is wrong. Write a. [bad-domain]",
        ),
        (
            Problem("partners/a.yaml", 0, "", "empty-file", "contains no record", "Delete it"),
            "partners/a.yaml: contains no record. Delete it. [empty-file]",
        ),
        (
            Problem("", 0, "tlsgate:acme", "unknown-key", "is unknown", "Did you mean x?"),
            "tlsgate:acme: is unknown. Did you mean x? [unknown-key]",
        ),
        (Problem("", 0, "", "alone", "All is lost", ""), "All is lost. [alone]"),
    ],
)
def test_a_problem_reads_as_one_line(problem: Problem, text: str) -> None:
    assert str(problem) == text


def test_the_error_shows_all_problems_in_order_once_and_counts_them() -> None:
    problems = [
        Problem("b.yaml", 2, "", "c", "second file", "Fix it"),
        Problem("a.yaml", 10, "", "c", "line ten", "Fix it"),
        Problem("a.yaml", 9, "", "c", "line nine", "Fix it"),
        Problem("a.yaml", 9, "", "c", "line nine", "Fix it"),
    ]
    error = ProblemsError(problems)
    assert str(error).splitlines() == [
        "a.yaml:9: line nine. Fix it. [c]",
        "a.yaml:10: line ten. Fix it. [c]",
        "b.yaml:2: second file. Fix it. [c]",
        "3 problems.",
    ]
    assert str(ProblemsError(problems[:1])).endswith("\n1 problem.")


def test_a_problem_has_a_json_form() -> None:
    assert Problem("a.yaml", 1, "name", "code", "message", "remedy").to_dict() == {
        "file": "a.yaml",
        "line": 1,
        "key": "name",
        "code": "code",
        "message": "message",
        "remedy": "remedy",
    }


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("Bücher", "`Bücher`"),
        ("a\x1b[31mb\n", r"`a\x1b[31mb\n`"),
        ("\u202egro.elpmaxe", r"`\u202egro.elpmaxe`"),
        ("\udcff", r"`\udcff`"),
        ("x" * 200, "`" + "x" * 79 + "…`"),
    ],
)
def test_text_of_unknown_origin_is_shortened_and_escaped(text: str, quoted: str) -> None:
    assert shown(text) == quoted
