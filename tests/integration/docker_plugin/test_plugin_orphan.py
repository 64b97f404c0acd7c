"""An engine that was killed leaves no plugin behind."""

from __future__ import annotations

import os
import select
import subprocess
import sys

import pytest

pytestmark = pytest.mark.integration

ENGINE = '"$0" -P -m toolchain.offline.docker_plugin 127.0.0.1:1 & wait'
SECONDS = 20.0


def test_the_plugin_ends_when_its_engine_is_killed() -> None:
    """A shell plays the engine; the plugin holds the other end of the pipe until it ends."""
    engine = subprocess.Popen(
        ["sh", "-c", ENGINE, sys.executable],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": ".", "TLSGATE_DOCKER_PLUGIN": "stand-in"},
    )
    assert engine.stdout is not None
    with engine.stdout as pipe:
        assert int(pipe.readline()) > 0
        engine.kill()
        engine.wait()
        ended, _, _ = select.select([pipe], [], [], SECONDS)
        assert ended
        assert pipe.read() == b""
