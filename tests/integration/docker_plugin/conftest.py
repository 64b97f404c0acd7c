"""Projects for the tests: on the stand-in, and on the real plugin where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.docker_plugin.plugin_project import REAL, Project, open_project


@pytest.fixture(params=["stand-in", "real"] if REAL else ["stand-in"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Project]:
    """An empty project with a stack `dev`, for each available plugin."""
    yield from open_project(tmp_path, is_stand_in=request.param == "stand-in")


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[Project]:
    """Like `project`, for behaviour and messages that only the stand-in has."""
    yield from open_project(tmp_path, is_stand_in=True)
