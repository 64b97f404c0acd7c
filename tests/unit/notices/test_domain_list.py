from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.notices.parts import LISTED
from tlsgate.notices.domain_list import (
    DOMAIN_LIST,
    BadList,
    DomainList,
    PartnerDomain,
    domain_of,
    read_domain_list,
)
from tlsgate.notices.list_follower import ListFollower

DOMAINS = st.from_regex(r"[a-z0-9-]{1,8}(\.[a-z]{2,5}){1,2}", fullmatch=True)


@given(
    st.frozensets(DOMAINS, min_size=1),
    st.dictionaries(DOMAINS, st.builds(PartnerDomain, st.text(), st.booleans(), st.booleans())),
    st.dictionaries(DOMAINS, DOMAINS),
)
def test_what_was_written_is_read(
    own: frozenset[str], partners: dict[str, PartnerDomain], aliases: dict[str, str]
) -> None:
    domains = DomainList(own, partners, aliases)
    assert read_domain_list(domains.to_json().encode("ascii")) == domains


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"own": ["a.example"]}',
        b'{"own": ["a.example"], "partners": {}}',
        b'{"own": ["a.example"], "aliases": {"a@a.example": 1}, "partners": {}}',
        b'{"own": [], "aliases": {}, "partners": {}}',
        b'{"own": [1], "aliases": {}, "partners": {}}',
        b'{"own": ["A.example"], "aliases": {}, "partners": {}}',
        b'{"own": ["a.example"], "aliases": {}, "partners": []}',
        b'{"own": ["a.example"], "aliases": {}, "partners": {"b.example": ["B", true]}}',
        b'{"own": ["a.example"], "aliases": {}, "partners": {"b.example": ["B", 1, true]}}',
        b'{"own": ["a.example"], "aliases": {}, "partners": {"b.example": ["B", true, "yes"]}}',
        b'{"own": ["a.example"], "aliases": {}, "partners": {"B.example": ["B", true, true]}}',
        b"\xff",
    ],
)
def test_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(BadList):
        read_domain_list(content)


@pytest.mark.parametrize(
    ("address", "domain"),
    [
        ("<a@B.example>", "b.example"),
        ("a@b.example.", "b.example"),
        ('<"a@c"@b.example>', "b.example"),
        ("a@bücher.example", "xn--bcher-kva.example"),
        ("a", None),
        ("<>", None),
        ("a@", None),
        ("a@.", None),
        ("a@b..example", None),
        ("a@b\udcff.example", None),
        (f"a@{'b' * 64}.example", None),
    ],
)
def test_domain_of(address: str, domain: str | None) -> None:
    assert domain_of(address) == domain


def generation(config: Path, name: str, content: str) -> None:
    (config / name).mkdir()
    (config / name / DOMAIN_LIST).write_text(content)
    (config / "new").symlink_to(name)
    (config / "new").replace(config / "current")


def test_the_list_in_force_is_followed(tmp_path: Path) -> None:
    follower = ListFollower(tmp_path / "current")
    with pytest.raises(OSError):
        follower.domain_list()
    generation(tmp_path, "one", LISTED.to_json())
    assert follower.domain_list() == LISTED
    other = DomainList(frozenset({"other.example"}), {})
    generation(tmp_path, "two", other.to_json())
    assert follower.domain_list() == other


def test_a_list_that_cannot_be_read_is_no_list(tmp_path: Path) -> None:
    follower = ListFollower(tmp_path / "current")
    generation(tmp_path, "one", LISTED.to_json())
    follower.domain_list()
    generation(tmp_path, "two", "{")
    for _ in range(2):  # and stays none
        with pytest.raises(BadList):
            follower.domain_list()
    generation(tmp_path, "three", LISTED.to_json())
    assert follower.domain_list() == LISTED


def test_many_notices_at_once_read_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generation(tmp_path, "one", LISTED.to_json())
    reads: list[Path] = []
    read_bytes = Path.read_bytes

    def counted(path: Path) -> bytes:
        reads.append(path)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", counted)
    follower = ListFollower(tmp_path / "current")
    threads = [threading.Thread(target=follower.domain_list) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reads) == 1
