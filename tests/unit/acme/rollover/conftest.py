"""An agent whose first certificate is in service."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.acme.rollover_world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """With the first certificate in service."""
    made = World(tmp_path / "world")
    made.look()
    made.take_up()
    return made
