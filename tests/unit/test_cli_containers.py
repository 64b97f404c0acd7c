"""A container's output is split into lines, whatever chunks it comes in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlsgate.commands.containers import split


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([], []),
        ([b"one\ntwo\n"], ["one", "two"]),
        ([b"o", b"ne\nt", b"wo"], ["one", "two"]),
        ([b"\n\n"], ["", ""]),
        ([b"caf\xc3", b"\xa9\n"], ["café"]),
        ([b"\xff\n"], ["\ufffd"]),
        ([b"12345678", b"9012345", b"\nnext\n"], ["1234567890", "next"]),
    ],
)
def test_split(chunks: list[bytes], lines: list[str]) -> None:
    assert list(split(chunks, limit=10)) == lines


@given(st.lists(st.binary(max_size=30)))
def test_chunks_do_not_matter(chunks: list[bytes]) -> None:
    whole = list(split([b"".join(chunks)], limit=10))
    assert list(split(chunks, limit=10)) == whole
    assert all(len(line) <= 10 for line in whole)
