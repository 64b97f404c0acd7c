from __future__ import annotations

from tests.unit.components.conftest import event_loop

__all__ = ["event_loop"]
