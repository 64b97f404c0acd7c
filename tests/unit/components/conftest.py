from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.components.fake_engine import FakeEngine


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
