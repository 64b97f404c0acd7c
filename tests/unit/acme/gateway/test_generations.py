"""A crash at any moment leaves the old certificate served; the next run finishes the work."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.acme.acme_parts import MX, Parts, settings
from tests.unit.acme.acme_pki import NOW, Root
from tlsgate.acme.certificate import Meta, facts
from tlsgate.acme.gateway.generations import KEPT_GENERATIONS, CertificateStore
from tlsgate.acme.keys import new_key, to_pem

META = Meta("https://ca.example/dir", None)
STEPS: list[tuple[Any, str]] = [
    (os, "open"),
    (os, "fsync"),
    (Path, "mkdir"),
    (Path, "replace"),
    (Path, "symlink_to"),
    (Path, "unlink"),
    (shutil, "rmtree"),
]


class Killed(BaseException):
    """The process is gone."""


class Killer:
    """Lets a number of file operations happen; from then on nothing happens any more."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    @property
    def fired(self) -> bool:
        return self.left < 0

    def arm(self, patch: pytest.MonkeyPatch) -> None:
        for owner, name in STEPS:
            patch.setattr(owner, name, self._wrap(getattr(owner, name)))

    def _wrap(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                raise Killed
            return operation(*args, **kwargs)

        return step


def assert_whole(store: CertificateStore) -> None:
    """Everything on the volume is whole, and nothing is left of what was begun."""
    assert store.staged() is None
    assert not (store.path / "next").is_symlink()
    for generation in (store.path / "generations").iterdir():
        assert {path.name for path in generation.iterdir()} == {
            "key.pem",
            "fullchain.pem",
            "meta.json",
        }


def test_kill_at_every_step_of_a_reissue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = replace(MX, names=(*MX.names, "mx.brand.example"))
    outcomes = set()
    for steps in range(200):
        parts = Parts(tmp_path / str(steps))
        parts.root.mkdir()
        assert parts.renewer().attempt(MX) is None
        first = parts.served()

        killer = Killer(steps)
        with monkeypatch.context() as patch:
            killer.arm(patch)
            with suppress(Killed):
                parts.renewer(settings(more)).attempt(more)
        after = parts.served()
        outcomes.add(after.id == first.id)
        assert after.id == first.id or facts(after.chain).names == tuple(sorted(more.names))
        assert after.key().public_key() == first.key().public_key()

        assert parts.renewer(settings(more)).attempt(more) is None
        assert facts(parts.served().chain).names == tuple(sorted(more.names))
        assert parts.served().key().public_key() == first.key().public_key()
        # One order for the first, and at most one that was wasted.
        assert len(parts.orders) <= 3
        assert_whole(parts.store())
        if not killer.fired:
            break
    else:
        raise AssertionError("the work never came to its end")
    assert outcomes == {True, False}


def test_kill_at_every_step_of_the_first_issue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for steps in range(200):
        parts = Parts(tmp_path / str(steps))
        parts.root.mkdir()
        parts.paths.state.mkdir()
        killer = Killer(steps)
        with monkeypatch.context() as patch:
            killer.arm(patch)
            with suppress(Killed):
                parts.renewer().attempt(MX)
        current = parts.store().current()
        assert current is None or facts(current.chain).names == MX.names
        assert parts.renewer().attempt(MX) is None
        # The key that is served is the one that was published last, before it was served.
        assert parts.published[-1] == (MX.tlsa, facts(parts.served().chain).spki_sha256)
        assert len(parts.orders) <= 2
        assert_whole(parts.store())
        if not killer.fired:
            return
    raise AssertionError("the work never came to its end")


def test_layout(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    assert parts.renewer().attempt(MX) is None
    directory = parts.paths.certificate("mx", MX.name)
    target = (directory / "current").readlink()
    assert target.parts[0] == "generations"
    assert not target.is_absolute()
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in (directory / target).iterdir()
    }
    assert modes == {"key.pem": 0o600, "fullchain.pem": 0o600, "meta.json": 0o600}
    assert stat.S_IMODE((directory / target).stat().st_mode) == 0o700


def test_a_few_generations_are_kept(tmp_path: Path) -> None:
    store, key = CertificateStore(tmp_path / "mx1"), new_key()
    chain = Root().sign(MX.names, key)
    made = []
    for day in range(KEPT_GENERATIONS + 3):
        store.begin(key, NOW + timedelta(days=day))
        staged = store.complete(chain, META)
        assert store.staged() == staged
        store.make_current(staged)
        store.confirm()
        made.append(staged.id)
    found = sorted(path.name for path in (store.path / "generations").iterdir())
    assert found == made[-KEPT_GENERATIONS:]
    current = store.current()
    assert current is not None
    assert current.id == made[-1]


@pytest.mark.parametrize("spoil", ["meta.json", "fullchain.pem"])
def test_a_spoilt_generation_does_not_count(tmp_path: Path, spoil: str) -> None:
    parts = Parts(tmp_path)
    assert parts.renewer().attempt(MX) is None
    (parts.served().path / spoil).unlink()
    assert parts.store().current() is None
    assert parts.renewer().reason(MX) == "there is no certificate yet"


def test_a_damaged_meta_file_is_set_aside_and_a_new_certificate_is_ordered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = Parts(tmp_path)
    assert parts.renewer().attempt(MX) is None
    spoilt = parts.served().path
    (spoilt / "meta.json").write_text("{}")
    capsys.readouterr()
    assert parts.renewer().reason(MX) == "there is no certificate yet"
    (alert,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert alert["what"] == f"the state file {spoilt / 'meta.json'} was damaged"
    assert len(list(spoilt.glob("meta.json.damaged-*"))) == 1


@pytest.mark.parametrize("name", ["meta.json", "fullchain.pem"])
def test_a_generation_that_cannot_be_read_is_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Before, it was: a volume's fault led to an order."""
    parts = Parts(tmp_path)
    assert parts.renewer().attempt(MX) is None
    cannot_read(monkeypatch, name)
    with pytest.raises(OSError, match="Input/output"):
        parts.store().current()
    assert parts.renewer().attempt(MX) is not None
    monkeypatch.undo()
    assert parts.renewer().reason(MX) is None


def test_a_next_key_that_cannot_be_read_is_never_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, a new key was made over it: the published one was lost."""
    store = CertificateStore(tmp_path / "mx1")
    store.path.mkdir()
    made = to_pem(store.make_next_key())
    with monkeypatch.context() as patch:
        cannot_read(patch, "next-key.pem")
        for use in (store.next_key, store.make_next_key):
            with pytest.raises(OSError, match="Input/output"):
                use()
    assert (store.path / "next-key.pem").read_bytes() == made
    assert to_pem(store.make_next_key()) == made


@pytest.mark.parametrize("name", ["key.pem", "next-key.pem"])
def test_a_key_that_cannot_be_read_is_reported_and_leads_to_no_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    parts = Parts(tmp_path)
    assert parts.renewer().attempt(MX) is None
    parts.now += timedelta(days=80)  # the certificate is due
    parts.store().make_next_key()
    with monkeypatch.context() as patch:
        cannot_read(patch, name)
        fault = parts.renewer().attempt(MX)
    assert fault is not None
    assert "a file cannot be read or written: " in fault.reason
    assert "Input/output error" in fault.reason
    assert parts.orders == [MX.names]
    assert parts.renewer().attempt(MX) is None


def cannot_read(patch: pytest.MonkeyPatch, name: str) -> None:
    """Files of this name give an I/O error."""
    real = Path.read_bytes

    def fails(path: Path) -> bytes:
        if path.name == name:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path)

    patch.setattr(Path, "read_bytes", fails)
