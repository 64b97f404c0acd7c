"""Projects for the tests: on the stand-in, and on the real plugin where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.docker_plugin.plugin_project import REAL, Project, open_project


@pytest.fixture(params=["stand-in", "real"] if REAL else ["stand-in"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Project]:
    """An empty project with a stack `dev`, on each plugin that is at hand."""
    yield from open_project(tmp_path, is_stand_in=request.param == "stand-in")


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[Project]:
    """As `project`, for what the real plugin does not do or does not say."""
    yield from open_project(tmp_path, is_stand_in=True)
