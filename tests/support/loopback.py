"""The mark of unit tests that really serve: they may connect to this machine, and nowhere else."""

from __future__ import annotations

import pytest

serves_on_loopback = pytest.mark.allow_hosts(["127.0.0.0/8"])
