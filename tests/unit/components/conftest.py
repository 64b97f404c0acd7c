from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.unit.components.fake_engine import FakeEngine


@pytest.fixture(scope="session", autouse=True)
def event_loop() -> None:
    """Pulumi takes the thread's event loop, and from Python 3.12 on none is made unasked.

    It is not closed: that would end Pulumi's worker threads, whose own loops nobody closes.
    """
    asyncio.set_event_loop(asyncio.new_event_loop())


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """An engine with the volumes `keys` and `config`, in place of the machine's."""
    fake = FakeEngine("keys", "config")
    monkeypatch.setattr("components.engine.engine", lambda: fake)
    return fake
