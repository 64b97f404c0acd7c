"""Which Pulumi CLI is used: the user's own, the vendor's, a built one; no unchecked one."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from tests.support.loopback import serves_on_loopback
from tests.unit.toolchain.setup_world import World, make_world
from toolchain import pulumi_cli
from toolchain.docker_plugin import PROGRAM, docker_plugin, locked_version
from toolchain.errors import SetupError
from toolchain.offline.plugin_program import wrapper
from toolchain.offline.pulumi_build import HOST
from toolchain.pulumi_cli import Cli, Source
from toolchain.versions import PULUMI_MINIMUM, Version

NAME = "pulumi-v3.251.0-linux-x64.tar.gz"
SUMS = f"{pulumi_cli.RELEASES}/pulumi-3.251.0-checksums.txt"


def release(*programs: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for program in (*programs, "../outside"):
            member = tarfile.TarInfo(f"pulumi/{program}")
            member.size = len(b"#!/bin/sh\n")
            archive.addfile(member, io.BytesIO(b"#!/bin/sh\n"))
    return packed.getvalue()


WHOLE = release("pulumi", HOST)


def vendor(archive: bytes = WHOLE, digest: str | None = None) -> dict[str, bytes]:
    digest = digest or hashlib.sha256(archive).hexdigest()
    return {
        pulumi_cli.LATEST: b"3.251.0\n",
        SUMS: f"{digest}  {NAME}\n".encode(),
        f"{pulumi_cli.RELEASES}/{NAME}": archive,
    }


def built(world: World) -> Path:
    folder = world.context.cache.path(pulumi_cli.key(Source.BUILT, PULUMI_MINIMUM))
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("version", ["v3.220.0", "v3.251.0"])
def test_the_users_own_is_preferred(tmp_path: Path, version: str) -> None:
    world = make_world(tmp_path, files=vendor())
    world.program("pulumi", version)
    world.program(HOST)
    cli, done = pulumi_cli.provide_cli(world.context)
    assert (cli.source, cli.folder, f"v{cli.version}") == (Source.OWN, None, version)
    assert not done.changed
    assert world.vendor.asked == []


@pytest.mark.parametrize(
    ("version", "host", "note"),
    [
        ("v3.219.9", True, "older than 3.220.0"),
        ("", True, "did not print its version"),
        ("v3.251.0", False, f"no {HOST}"),
    ],
)
def test_a_pulumi_that_will_not_do_is_named_and_left(
    tmp_path: Path, version: str, host: bool, note: str
) -> None:
    world = make_world(tmp_path, files=vendor())
    world.program("pulumi", version)
    if host:
        world.program(HOST)
    cli, done = pulumi_cli.provide_cli(world.context)
    assert cli.source is Source.VENDOR
    assert note in done.notes[0]


def test_what_set_up_put_on_path_is_not_the_users_own(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    folder = built(world)
    for name in ("pulumi", HOST):
        world.program(name, "v3.220.0").rename(folder / name)
    path = world.context.environment["PATH"]
    again = make_world(tmp_path, environment={"PATH": f"{folder}:{path}"})
    assert pulumi_cli.own_cli(again.context) == (None, "")


def test_the_vendors_release_is_checked_and_kept(tmp_path: Path) -> None:
    world = make_world(tmp_path, files=vendor())
    cli, done = pulumi_cli.provide_cli(world.context)
    assert cli.folder is not None
    assert (cli.version, cli.source, done.changed) == (Version(3, 251, 0), Source.VENDOR, True)
    assert sorted(path.name for path in cli.folder.iterdir()) == ["pulumi", HOST]
    assert (cli.folder / "pulumi").stat().st_mode & 0o111 == 0o111
    again, second = pulumi_cli.provide_cli(make_world(tmp_path).context)
    assert (again, second.changed) == (cli, False)


def test_a_wrong_checksum_stops_set_up_and_leaves_no_tool(tmp_path: Path) -> None:
    world = make_world(tmp_path, files=vendor(digest="0" * 64))
    with pytest.raises(SetupError, match="not what was published"):
        pulumi_cli.provide_cli(world.context)
    assert pulumi_cli.newest_vendor(p.name for p in world.context.cache.root.iterdir()) is None


def test_an_archive_without_the_language_host_is_refused(tmp_path: Path) -> None:
    world = make_world(tmp_path, files=vendor(release("pulumi")))
    with pytest.raises(SetupError, match="does not hold"):
        pulumi_cli.provide_cli(world.context)
    assert not world.context.cache.has(pulumi_cli.key(Source.VENDOR, Version(3, 251, 0)))


def test_a_built_one_is_kept_while_nobody_asks_for_more(tmp_path: Path) -> None:
    world = make_world(tmp_path, files=vendor())
    built(world)
    cli, _ = pulumi_cli.provide_cli(world.context)
    assert cli.source is Source.BUILT
    assert world.vendor.asked == []
    again = make_world(tmp_path, files=vendor(), retry=True)
    assert pulumi_cli.provide_cli(again.context)[0].source is Source.VENDOR


@pytest.mark.parametrize("latest", [b"3.219.0", b"<html>sign in</html>"])
def test_what_is_no_usable_release_leads_to_a_build(tmp_path: Path, latest: bytes) -> None:
    world = make_world(tmp_path, files={pulumi_cli.LATEST: latest}, retry=True)
    built(world)
    cli, done = pulumi_cli.provide_cli(world.context)
    assert cli.source is Source.BUILT
    assert "built instead" in done.notes[0]


@pytest.mark.parametrize(
    ("names", "newest"),
    [
        ([], None),
        (["pulumi-3.220.0-built", "pebble-2.10.1", ".pulumi-3.251.0-vendor.1.new"], None),
        (["pulumi-3.99.0-vendor"], None),
        (["pulumi-3.230.1-vendor", "pulumi-3.251.0-vendor"], Version(3, 251, 0)),
    ],
)
def test_newest_vendor(names: list[str], newest: Version | None) -> None:
    assert pulumi_cli.newest_vendor(names) == newest


@pytest.mark.parametrize(
    ("system", "arch", "name"),
    [
        ("Linux", "amd64", "pulumi-v3.251.0-linux-x64.tar.gz"),
        ("Linux", "arm64", "pulumi-v3.251.0-linux-arm64.tar.gz"),
        ("Darwin", "arm64", "pulumi-v3.251.0-darwin-arm64.tar.gz"),
    ],
)
def test_archive_name(system: str, arch: str, name: str) -> None:
    assert pulumi_cli.archive_name(Version(3, 251, 0), system, arch) == name


# ------------------------------------------------------------------------- the Docker plugin

LOCK = '[[package]]\nname = "pulumi-docker"\nversion = "5.2.0"\n'
CLI = Cli(PULUMI_MINIMUM, Source.OWN, None)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = make_world(tmp_path)
    (made.context.repository / "uv.lock").write_text(LOCK)
    return made


def stand_in(world: World) -> Path:
    return world.context.state / "bin" / PROGRAM


def test_the_wrapper_starts_the_stand_in_of_its_clone(tmp_path: Path) -> None:
    text = wrapper(Path("/home/an o'user/tlsgate"))
    assert text.splitlines()[0] == "#!/bin/sh"
    assert text.splitlines()[-1] == (
        "PYTHONPATH='/home/an o'\"'\"'user/tlsgate' exec "
        "'/home/an o'\"'\"'user/tlsgate/.venv/bin/python' -P "
        '-m toolchain.offline.docker_plugin "$@"'
    )


def test_the_version_is_that_of_the_lock_file() -> None:
    assert locked_version(LOCK) == "5.2.0"


@serves_on_loopback
def test_the_stand_in_where_the_vendor_is_unreachable(world: World) -> None:
    used, done = docker_plugin(world.context, CLI)
    assert used
    assert done.changed
    assert "stand-in used" in done.notes[0]
    assert stand_in(world).read_text() == wrapper(world.context.repository)
    assert stand_in(world).stat().st_mode & 0o111
    used, done = docker_plugin(world.context, CLI)
    assert (used, done.changed, done.notes) == (True, False, ())


@serves_on_loopback
def test_a_clone_that_moved_gets_a_new_wrapper(world: World) -> None:
    docker_plugin(world.context, CLI)
    stand_in(world).write_text(wrapper(Path("/elsewhere")))
    docker_plugin(world.context, CLI)
    assert stand_in(world).read_text() == wrapper(world.context.repository)


@pytest.mark.parametrize("own", [True, False])
@serves_on_loopback
def test_the_real_plugin_takes_the_stand_in_off_path(world: World, own: bool) -> None:
    docker_plugin(world.context, CLI)
    if own:
        world.program(PROGRAM)
    else:
        home = world.context.state / "pulumi-home/plugins/resource-docker-v5.2.0"
        home.mkdir(parents=True)
        (home / PROGRAM).touch()
    used, _ = docker_plugin(world.context, CLI)
    assert not used
    assert not stand_in(world).exists()
