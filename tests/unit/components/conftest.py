from __future__ import annotations

import asyncio
import pickle
from pathlib import Path

import pytest

from tests.unit.components.fake_engine import FakeEngine

# Kept and never closed: that would end Pulumi's worker threads, whose own loops stay open.
_LOOP = asyncio.new_event_loop()


@pytest.fixture(scope="module", autouse=True)
def event_loop() -> None:
    """Pulumi uses the thread's event loop, which asyncio.run in other tests removes."""
    asyncio.set_event_loop(_LOOP)


@pytest.fixture(autouse=True)
def one_pickler(monkeypatch: pytest.MonkeyPatch) -> None:
    """pulumi.dynamic wraps this method once for every resource and never unwraps it."""
    method = "_batch_setitems"
    monkeypatch.setattr(pickle._Pickler, method, getattr(pickle._Pickler, method))


@pytest.fixture(autouse=True)
def no_known_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process asks each engine once; here every test is one."""
    monkeypatch.setattr("tlsgate_pulumi.engine._UNFIT", {})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project folder, in which the program was started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tlsgate_pulumi.build_context.STARTED_IN", tmp_path)
    return tmp_path


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """An engine with the volumes `keys` and `config`, in place of the machine's."""
    fake = FakeEngine("keys", "config")
    monkeypatch.setattr("tlsgate_pulumi.engine.connect", lambda _at, **_: fake)
    return fake
