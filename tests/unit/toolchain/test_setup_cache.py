"""The cache holds whole tools only, whatever stops their making."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.unit.toolchain.setup_world import make_world
from toolchain.cache import cache_folder


def test_a_tool_is_made_once(tmp_path: Path) -> None:
    cache = make_world(tmp_path).context.cache
    assert cache.provide("tool-1", lambda folder: (folder / "tool").touch())
    assert (cache.path("tool-1") / "tool").exists()
    assert not cache.provide("tool-1", lambda _folder: pytest.fail("made twice"))


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, RuntimeError])
def test_an_interrupt_leaves_no_tool(tmp_path: Path, error: type[BaseException]) -> None:
    cache = make_world(tmp_path).context.cache

    def stopped(folder: Path) -> None:
        (folder / "half").touch()
        raise error

    with pytest.raises(error):
        cache.provide("tool-1", stopped)
    assert not cache.has("tool-1")
    assert not list(cache.root.rglob("half"))


def test_a_killed_run_leaves_no_tool_and_is_swept_away(tmp_path: Path) -> None:
    cache = make_world(tmp_path).context.cache
    left = cache.root / ".tool-1.4711.new"
    left.mkdir(parents=True)
    (left / "half").touch()
    assert not cache.has("tool-1")
    assert cache.provide("tool-1", lambda folder: (folder / "tool").touch())
    assert not left.exists()
    assert [path.name for path in cache.path("tool-1").iterdir()] == ["tool"]


def test_two_set_ups_make_a_tool_once(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    cache, making, go_on = world.context.cache, threading.Event(), threading.Event()
    made = []

    def slowly(folder: Path) -> None:
        made.append(folder)
        making.set()
        assert go_on.wait(10)

    first = threading.Thread(target=cache.provide, args=("tool-1", slowly))
    first.start()
    assert making.wait(10)
    second = threading.Thread(target=cache.provide, args=("tool-1", slowly))
    second.start()
    go_on.set()
    first.join(10)
    second.join(10)
    assert len(made) == 1
    assert cache.has("tool-1")


@pytest.mark.parametrize("value", ["", "relative/folder"])
def test_cache_folder_without_a_usable_variable(value: str) -> None:
    assert cache_folder({"XDG_CACHE_HOME": value}) == Path.home() / ".cache/tlsgate"


def test_cache_folder() -> None:
    assert cache_folder({"XDG_CACHE_HOME": "/srv/cache"}) == Path("/srv/cache/tlsgate")
