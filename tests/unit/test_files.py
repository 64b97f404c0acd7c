"""File operations: what a link names, and what is no answer."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tlsgate.files import link_target, point


def test_a_link_names_its_target(tmp_path: Path) -> None:
    link = tmp_path / "current"
    assert link_target(link) is None
    assert link_target(tmp_path / "missing/current") is None
    point(link, Path("generations/1"))
    assert link_target(link) == "1"


def test_nothing_is_below_a_file(tmp_path: Path) -> None:
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
