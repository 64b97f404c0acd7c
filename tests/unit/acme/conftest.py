"""The world that most of these tests look at: a CA in memory, a clock, a stack's volumes."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from tests.unit.acme.acme_bench import World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """With a small bundle of roots and no waiting for the disk: both only cost time."""
    monkeypatch.setattr("os.fsync", lambda _descriptor: None)
    made = World(tmp_path)
    bundle = tmp_path / "system.pem"
    bundle.write_bytes(made.ca.root.public_bytes(serialization.Encoding.PEM))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    return made
