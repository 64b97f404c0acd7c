"""Another Python: the user's own, uv's, or one of Debian's packages, which starts everywhere."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.loopback import serves_on_loopback
from tests.unit.toolchain.setup_world import USER, World, make_world
from toolchain import interpreters
from toolchain.context import Machine
from toolchain.errors import SetupError
from toolchain.interpreters import interpreter
from toolchain.offline import debian_python

pytestmark = serves_on_loopback
RELEASES = {interpreters.RELEASES: b""}
UV = """\
case "$2" in
  find) cat "$UV_PYTHON_INSTALL_DIR/made" ;;
  install) mkdir -p "$UV_PYTHON_INSTALL_DIR"; echo "/uv/$*" > "$UV_PYTHON_INSTALL_DIR/made" ;;
esac
"""
MIRROR = "http://mirror.example/debian"
UNPACK = """\
asked="$*"
shift $(($# - 3))
mkdir -p "$2/usr/bin"
echo "$asked" > "$2/asked"
echo "of $1" > "$2/usr/bin/python3.14"
"""


def script(world: World, name: str, text: str) -> Path:
    path = world.program(name)
    path.write_text(f"#!/bin/sh\n{text}")
    return path


@pytest.fixture
def pyenv(tmp_path: Path) -> dict[str, str]:
    """The tests' own, not that of who runs them; and the shell's own programs."""
    return {"PYENV_ROOT": str(tmp_path / "pyenv"), "PATH": f"{tmp_path}/programs:/usr/bin:/bin"}


def test_the_users_own_is_preferred(tmp_path: Path, pyenv: dict[str, str]) -> None:
    world = make_world(tmp_path, environment=pyenv)
    own = world.program("python3.77", "3.77")
    assert interpreter(world.context, Path("uv"), "3.77") == (own, "your own")
    assert world.vendor.asked == []


def test_pyenvs_are_the_users_own(tmp_path: Path, pyenv: dict[str, str]) -> None:
    """Also where the one on PATH only says that this version is not selected."""
    world = make_world(tmp_path, environment=pyenv)
    script(world, "python3.77", "exit 127\n")
    for patch in (1, 2):
        folder = tmp_path / f"pyenv/versions/3.77.{patch}/bin"
        folder.mkdir(parents=True)
        world.program("python3.77-real", "3.77").rename(folder / "python3.77")
    found = tmp_path / "pyenv/versions/3.77.2/bin/python3.77"
    assert interpreter(world.context, Path("uv"), "3.77") == (found, "your own")


def test_then_uvs_is_installed_once(tmp_path: Path, pyenv: dict[str, str]) -> None:
    world = make_world(tmp_path, files=RELEASES, environment=pyenv)
    uv = script(world, "uv", UV)
    for _ in range(2):
        found, source = interpreter(world.context, uv, "3.77")
        assert (str(found), source) == ("/uv/python install --no-bin 3.77", "from uv")
    assert world.vendor.asked == [interpreters.RELEASES]
    assert (world.context.cache.root / "python-uv/made").exists()


@serves_on_loopback
def test_then_one_is_made_of_debians_packages(
    tmp_path: Path, pyenv: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian_python, "own_mirror", lambda _context: MIRROR)
    world = make_world(tmp_path, environment=pyenv)
    script(world, "mmdebstrap", UNPACK)
    uv = script(world, "uv", "exit 1\n")
    found, source = interpreter(world.context, uv, "3.14")
    assert source == "made of Debian's packages"
    root = world.context.cache.path("python-3.14-debian-forky")
    assert found == root / "usr/bin/python3.14"
    asked = (root / "asked").read_text()
    assert asked.startswith("--variant=extract --include=python3.14,libstdc++6 ")
    assert asked.endswith(f" {MIRROR}\n")
    assert "uv's Python 3.14 cannot be fetched" in world.said.getvalue()
    assert found.read_text() == debian_python.launcher(root, "3.14", "amd64")
    assert (root / "usr/bin/python3.14.program").read_text() == "of forky\n"


def test_the_launcher_hands_on_name_and_arguments(tmp_path: Path) -> None:
    """A virtual environment is found beside the name that Python was called by."""
    root = tmp_path / "my cache"
    linker = root / "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
    linker.parent.mkdir(parents=True)
    linker.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    linker.chmod(0o755)
    called = tmp_path / "environment/python"
    called.parent.mkdir()
    launcher = tmp_path / "python3.14"
    launcher.write_text(debian_python.launcher(root, "3.14", "amd64"))
    launcher.chmod(0o755)
    called.symlink_to(launcher)
    said = subprocess.run([called, "-c", "a b"], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == [
        "--library-path",
        str(linker.parent),
        "--argv0",
        str(called),
        str(root / "usr/bin/python3.14.program"),
        "-c",
        "a b",
    ]


@pytest.mark.parametrize(
    ("version", "machine", "problem", "remedy"),
    [
        ("3.77", USER, "and Debian has none", "install Python 3.77 by hand, then"),
        ("3.14", replace(USER, architecture=None), "Debian has none for this machine", "by hand"),
        ("3.14", USER, "uv cannot fetch it", "by hand, or mmdebstrap, then"),
        ("3.14", replace(USER, debian=False), "uv cannot fetch it", "Python 3.14 by hand, then"),
    ],
)
def test_where_none_can_be_had_it_says_what_to_do(
    tmp_path: Path, version: str, machine: Machine, problem: str, remedy: str
) -> None:
    world = make_world(tmp_path, machine)
    with pytest.raises(SetupError) as error:
        debian_python.debian_python(world.context, version)
    assert problem in error.value.problem
    assert remedy in error.value.remedy


@pytest.mark.parametrize("version", ["3", "3.14.1", "python3.14", "2.7"])
def test_a_version_is_two_numbers(version: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patched, pytest.raises(SystemExit) as ended:
        patched.setattr(sys, "argv", ["interpreters", version])
        interpreters.main()
    assert ended.value.code == 2
    assert "is not a Python version such as 3.14" in capsys.readouterr().err
