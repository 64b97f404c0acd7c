import pytest

from tests.unit.partners.partner_files import RECORD, complaints
from tlsgate.partners.syntax import Mapping, Scalar, Sequence, read_documents

ALIASES = "".join(f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9)}]\n" for i in range(1, 9))
BOMB = f"x0: &x0 [lol]\n{ALIASES}"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "contains no record. Write a record, or delete it. [empty-file]"),
        ("# nothing\n", "contains no record. Write a record, or delete it. [empty-file]"),
        (
            "name: Acme\noutbound:\n\tverify: pkix\n",
            ":3: is indented with a tab. Indent with spaces. [tab]",
        ),
        ("x" * 2**20, "is larger than 256 KiB. Write one partner per file. [file-too-large]"),
        (
            BOMB,
            ":1: has the anchor `&x0`. Write the value where it is needed; put quotes around"
            " a string that starts with `&`. [anchor]",
        ),
        (
            "name: *acme\n",
            ":1: has the alias `*acme`. Write the value itself; put quotes around a string that"
            " starts with `*`. [alias]",
        ),
        (
            "name: !!python/object/apply:os.system [id]\n",
            ":1: has the tag `tag:yaml.org,2002:python/object/apply:os.system`. Write the value"
            " without a tag; put quotes around a string that starts with `!`. [tag]",
        ),
        ("%YAML 1.1\n---\na: b\n", ":1: has a % directive. Delete the directive. [directive]"),
        (
            "[" * 100_000,
            ":1: is nested more than 8 levels deep. Write the record's own keys only. [too-deep]",
        ),
        (
            "? " * 9999,
            ":1: is nested more than 8 levels deep. Write the record's own keys only. [too-deep]",
        ),
        ("? [a]\n: b\n", ":1: has a list or a mapping as a key. Write `key: value`. [bad-key]"),
        (
            b"\xef\xbb\xbfname: Acme\n",
            ":1: contains the invisible character U+FEFF. Delete it; save the file as UTF-8 without"
            " a byte order mark. [bad-character]",
        ),
        (
            "name: Acme\ncontact: a\u202eb\n",
            ":2: contains the invisible character U+202E. Delete it; save the file as UTF-8 without"
            " a byte order mark. [bad-character]",
        ),
        (
            "name: Acme\n# \x00\n",
            ":2: contains the invisible character U+0000. Delete it; save the file as UTF-8 without"
            " a byte order mark. [bad-character]",
        ),
        (b"name: B\xfccher\n", ":1: is not UTF-8. Save the file as UTF-8. [not-utf-8]"),
        (
            "name: Acme: Motors\n",
            ":1: is not YAML: mapping values are not allowed in this context. Align the keys of a"
            " mapping; put quotes around a value that contains `: `. [bad-yaml]",
        ),
        (
            "name: @acme\n",
            ":1: is not YAML: while scanning for the next token found character that cannot start"
            " any token. Put quotes around the value. [bad-yaml]",
        ),
        (
            "domains: [a.example\nname: b\n",
            ":2: is not YAML: while parsing a flow sequence did not find expected ',' or ']'."
            " Close the list with `]`. [bad-yaml]",
        ),
    ],
)
def test_unreadable_files_are_reported(content: str | bytes, complaint: str) -> None:
    separator = "" if complaint.startswith(":") else ": "
    assert complaints(acme=content) == [f"partners/acme.yaml{separator}{complaint}"]


def test_a_key_that_appears_twice_is_reported_with_the_other_problems() -> None:
    assert complaints(acme=RECORD + "name: Acme\nsubdomains: maybe\n") == [
        "partners/acme.yaml:6: the key `name` is already on line 1. Keep one of the two."
        " [key-doubled]",
        "partners/acme.yaml:7: subdomains: `maybe` is not true or false."
        " Write true or false, without quotes. [not-a-flag]",
    ]


def test_strings_stay_strings_and_have_their_lines() -> None:
    text = b"country: no\nport: 010\nlist:\n  - 12:30\n  - 'no'\n---\nb: ~\n"
    documents, problems = read_documents(text, "f.yaml")
    assert problems == []
    assert documents == [
        Mapping(
            1,
            {
                "country": (1, Scalar("no", 1, True)),
                "port": (2, Scalar("010", 2, True)),
                "list": (3, Sequence(4, [Scalar("12:30", 4, True), Scalar("no", 5, False)])),
            },
        ),
        Mapping(7, {"b": (7, Scalar("~", 7, True))}),
    ]


def test_windows_line_ends_are_read() -> None:
    documents, problems = read_documents(b"a: 1\r\nb: 2\r\n", "f.yaml")
    assert problems == []
    assert documents == [
        Mapping(1, {"a": (1, Scalar("1", 1, True)), "b": (2, Scalar("2", 2, True))})
    ]
