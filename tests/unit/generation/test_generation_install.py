from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tlsgate.files import write_json
from tlsgate.generation.in_force import verdict
from tlsgate.generation.install import install, show
from tlsgate.generation.manifest import MANIFEST, Refused, generation_id
from tlsgate.generation.paths import Paths
from tlsgate.generation.servers import ServerProgram


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    for name in ("config", "keys", "incoming"):
        (tmp_path / name).mkdir()
    return Paths(tmp_path / "config", tmp_path / "keys", tmp_path / "run")


def prepare(directory: Path, sources: Mapping[str, bytes]) -> None:
    """As postmap: one compiled file; refuses a table that says so."""
    if b"bad" in sources["routes"]:
        raise Refused("routes is bad")
    (directory / "routes.lmdb").write_bytes(sources["routes"] * 2)


ENGINE = ServerProgram(
    "postfix",
    prepare,
    stage=lambda _, __: None,
    check=lambda _: None,
    reload=lambda _: None,
    tidy=lambda _: None,
    port=25,
)


def incoming(paths: Paths, **files: str) -> Path:
    directory = paths.config.parent / "incoming"
    for old in directory.iterdir():
        old.unlink()
    for name, text in ({"main": "m", "routes": "r"} | files).items():
        (directory / name).write_text(text)
    return directory


def live(paths: Paths) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in paths.current.iterdir()}


def test_install(paths: Paths) -> None:
    done = install(paths, ENGINE, incoming(paths))
    assert done.changed
    assert done.generation == generation_id({"main": b"m", "routes": b"r"})
    assert paths.current.readlink() == Path("generations") / done.generation
    assert set(live(paths)) == {"main", "routes", "routes.lmdb", MANIFEST}
    assert show(paths) == {"generation": done.generation, "live": done.live}
    again = install(paths, ENGINE, incoming(paths), expect=done.generation)
    assert (again.generation, again.live, again.changed) == (done.generation, done.live, False)


def test_back_to_an_older_generation(paths: Paths) -> None:
    first = install(paths, ENGINE, incoming(paths))
    install(paths, ENGINE, incoming(paths, routes="other"))
    back = install(paths, ENGINE, incoming(paths))
    assert back == first
    assert show(paths)["generation"] == first.generation


@pytest.mark.parametrize("files", [{"routes": "bad"}, {"x.lmdb": ""}, {MANIFEST: "{}"}])
def test_a_refused_delivery_leaves_all_as_it_was(paths: Paths, files: dict[str, str]) -> None:
    install(paths, ENGINE, incoming(paths))
    before = live(paths), sorted(path.name for path in paths.generations.iterdir())
    with pytest.raises(Refused):
        install(paths, ENGINE, incoming(paths, **files))
    assert (live(paths), sorted(path.name for path in paths.generations.iterdir())) == before


def test_other_files_than_expected(paths: Paths) -> None:
    with pytest.raises(Refused, match="not of 0123"):
        install(paths, ENGINE, incoming(paths), expect="0123")
    assert show(paths) == {"generation": None, "live": None}


@pytest.mark.parametrize("edit", ["routes", "routes.lmdb", "new", MANIFEST])
def test_a_hand_edit_shows_and_is_repaired_in_place(paths: Paths, edit: str) -> None:
    done = install(paths, ENGINE, incoming(paths))
    directory = paths.current.resolve()
    (directory / edit).write_text("edited")
    seen = show(paths)
    assert seen["live"] != done.live
    # A compiled file is no source; the generation's id speaks of sources only.
    assert (seen["generation"] == done.generation) == (edit in {"routes.lmdb", MANIFEST})
    inode = directory.stat().st_ino
    repaired = install(paths, ENGINE, incoming(paths))
    assert repaired == done
    assert show(paths) == {"generation": done.generation, "live": done.live}
    assert directory.stat().st_ino == inode


def test_only_the_last_generations_are_kept(paths: Paths) -> None:
    names = [
        install(paths, ENGINE, incoming(paths, routes=f"r{number}")).generation
        for number in range(8)
    ]
    assert {path.name for path in paths.generations.iterdir()} == set(names[-5:])


def test_what_an_interrupted_job_left_is_no_obstacle(paths: Paths) -> None:
    name = generation_id({"main": b"m", "routes": b"r"})
    for leftover in (f".{name}.new", name):
        (paths.generations / leftover).mkdir(parents=True)
        (paths.generations / leftover / "routes").write_text("half")
    assert install(paths, ENGINE, incoming(paths)).generation == name
    assert live(paths)["routes"] == b"r"


def test_await(paths: Paths) -> None:
    assert verdict(paths, "gone") == (True, "generation gone is not installed")
    name = install(paths, ENGINE, incoming(paths)).generation
    assert verdict(paths, name)[0] is False
    write_json(paths.refused, {"generation": name, "reason": "no certificate"})
    assert verdict(paths, name) == (
        True,
        f"the watcher refused generation {name}: no certificate",
    )
    paths.active_id.write_text(f"{name}\n")
    assert verdict(paths, name) == (True, "")
    # Repaired: what was said before is not about this.
    (paths.current / "routes").write_text("edited")
    install(paths, ENGINE, incoming(paths))
    assert verdict(paths, name)[0] is False
