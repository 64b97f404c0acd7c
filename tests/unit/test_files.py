"""File operations: what a link names, what is no answer, and how a file is replaced."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tlsgate.files import link_target, point, write


def test_a_link_names_its_target(tmp_path: Path) -> None:
    link = tmp_path / "current"
    assert link_target(link) is None
    assert link_target(tmp_path / "missing/current") is None
    point(link, Path("generations/1"))
    assert link_target(link) == "1"


def test_a_path_below_a_file_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert link_target(tmp_path / "file/current") is None


@pytest.mark.parametrize("error", [errno.EIO, errno.EACCES, errno.ESTALE])
def test_a_link_that_cannot_be_read_is_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """Before, it was: a certificate's link that could not be read led to an order."""

    def fails(_path: Path) -> Path:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(Path, "readlink", fails)
    with pytest.raises(OSError, match=r".") as caught:
        link_target(tmp_path / "current")
    assert caught.value.errno == error


def test_a_file_is_replaced_with_the_permissions_it_had(tmp_path: Path) -> None:
    path = tmp_path / "acme.yaml"
    path.write_text("old")
    path.chmod(0o660)  # the umask does not count here
    write(path, b"new", mode=None)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o660
    write(path, b"newer", mode=0o600)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [None, 0o644])
def test_a_replacement_that_fails_leaves_only_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int | None
) -> None:
    def fails(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "acme.yaml"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="No space left"):
        write(path, b"new", mode)
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("acme.yaml", "old")]


def test_only_a_file_that_is_there_has_permissions_to_keep(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "acme.yaml", b"new", mode=None)
    assert list(tmp_path.iterdir()) == []
