"""Which Docker engine is used, what is refused in which words, and whose process is ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.toolchain.setup_world import DEBIAN_ROOT, USER, make_world
from tests.unit.toolchain.socket_engine import SocketEngine, serve_engine
from toolchain import base_image, dockerd, versions
from toolchain.base_image import REGISTRY
from toolchain.context import Machine, is_debian
from toolchain.engine import (
    PACKAGES,
    Plan,
    address_of,
    check_version,
    current_context,
    engine,
    plan,
)
from toolchain.engine_api import DEFAULT_ADDRESS, EngineApi, EngineError, call_version
from toolchain.errors import SetupError
from toolchain.offline.debian_image import Way, debian_mirror, way

OTHER_ROOT = replace(DEBIAN_ROOT, debian=False)
SYSTEMD = replace(DEBIAN_ROOT, systemd=True)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[SocketEngine]:
    with serve_engine(tmp_path) as engine:
        yield engine


@pytest.mark.parametrize(
    ("machine", "installed", "wanted"),
    [(DEBIAN_ROOT, False, Plan.INSTALL), (DEBIAN_ROOT, True, Plan.START),
     (SYSTEMD, False, Plan.INSTALL), (OTHER_ROOT, True, Plan.START)],
)  # fmt: skip
def test_what_set_up_does_by_itself(machine: Machine, installed: bool, wanted: Plan) -> None:
    assert plan(machine, DEFAULT_ADDRESS, installed=installed) is wanted


@pytest.mark.parametrize(
    ("machine", "address", "installed", "problem", "remedy"),
    [
        (USER, DEFAULT_ADDRESS, False, "none is installed", "run set-up as root"),
        (OTHER_ROOT, DEFAULT_ADDRESS, False, "none is installed", "install and start Docker"),
        (USER, DEFAULT_ADDRESS, True, "does not run", "sudo service docker start"),
        (SYSTEMD, DEFAULT_ADDRESS, True, "does not run", "sudo systemctl start docker"),
        (DEBIAN_ROOT, "tcp://10.0.0.1:2375", True, "answers at tcp://10.0.0.1:2375", "DOCKER_HOST"),
    ],
)
def test_what_is_left_to_the_user(
    machine: Machine, address: str, installed: bool, problem: str, remedy: str
) -> None:
    with pytest.raises(SetupError, match=problem) as refused:
        plan(machine, address, installed=installed)
    assert remedy in refused.value.remedy


@pytest.mark.parametrize("api", ["1.41", "1.50", "2.0"])
def test_a_new_enough_engine(api: str) -> None:
    answered = {"Version": "28.2.2", "ApiVersion": api}
    assert check_version(answered, DEFAULT_ADDRESS) == f"28.2.2 (API {api})"


@pytest.mark.parametrize("answered", [{"Version": "19.03", "ApiVersion": "1.40"}, {}])
def test_an_old_engine_is_refused(answered: dict[str, object]) -> None:
    with pytest.raises(SetupError, match=r"too old: .* API 1\.41 \(Docker 20\.10\) or later"):
        check_version(answered, DEFAULT_ADDRESS)


def test_the_running_engine_is_used(tmp_path: Path, served: SocketEngine) -> None:
    world = make_world(tmp_path, environment={"DOCKER_HOST": served.address})
    address, done = engine(world.context)
    assert (address, done.source, done.changed) == (served.address, "running", False)


def test_no_engine_at_the_chosen_address(tmp_path: Path) -> None:
    world = make_world(tmp_path, environment={"DOCKER_HOST": "unix:///nowhere/docker.sock"})
    with pytest.raises(SetupError, match="no Docker engine answers at unix:///nowhere"):
        engine(world.context)


@pytest.mark.parametrize("address", ["ssh://host", "npipe:////./pipe/docker", "unix://", "tcp://"])
def test_an_address_of_another_kind(tmp_path: Path, address: str) -> None:
    world = make_world(tmp_path, environment={"DOCKER_HOST": address})
    with pytest.raises(SetupError, match="of a kind that does not work here"):
        engine(world.context)


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({}, DEFAULT_ADDRESS),
        ({"DOCKER_HOST": "unix:///run/other.sock"}, "unix:///run/other.sock"),
        (
            {dockerd.ROOT_VARIABLE: "/srv/e", "DOCKER_HOST": "unix:///x"},
            "unix:///srv/e/docker.sock",
        ),
        ({"DOCKER_CONTEXT": "colima"}, "unix:///home/me/.colima/docker.sock"),
    ],
)
def test_address_of(tmp_path: Path, environment: dict[str, str], address: str) -> None:
    config = {"DOCKER_CONFIG": str(tmp_path / "config")}
    world = make_world(tmp_path, environment={**config, **environment})
    world.program("docker", "unix:///home/me/.colima/docker.sock")
    assert address_of(world.context) == address


def test_the_docker_commands_context_counts(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"currentContext": "colima"}')
    world = make_world(tmp_path, environment={"DOCKER_CONFIG": str(tmp_path)})
    world.program("docker", "unix:///home/me/.colima/docker.sock")
    assert address_of(world.context) == "unix:///home/me/.colima/docker.sock"


@pytest.mark.parametrize("config", ["", "[]", "{}", '{"currentContext": "default"}', "{"])
def test_no_context_is_chosen(config: str) -> None:
    assert current_context(config) is None


@pytest.mark.parametrize(
    ("text", "debian"),
    [
        ('PRETTY_NAME="Debian GNU/Linux 12"\nID=debian\n', True),
        ("ID=ubuntu\nID_LIKE=debian\n", True),
        ('ID="linuxmint"\nID_LIKE="ubuntu debian"\n', True),
        ("ID=fedora\n", False),
        ('ID="rhel"\nID_LIKE="fedora"\n', False),
        ("", False),
    ],
)
def test_is_debian(text: str, debian: bool) -> None:
    assert is_debian(text) is debian


def test_packages_are_named_before_they_are_installed(tmp_path: Path) -> None:
    from toolchain.debian import install

    world = make_world(tmp_path)
    world.program("dpkg")
    world.program("apt-get").write_text("#!/bin/sh\necho E: no such package\nexit 100\n")
    with pytest.raises(SetupError, match="no such package") as refused:
        install(world.context, PACKAGES, "the Docker engine")
    named = f"installed for the Docker engine: {' '.join(PACKAGES)}"
    assert named in world.said.getvalue().splitlines()[0]
    assert "apt-get install --no-install-recommends docker.io" in refused.value.remedy


# ---------------------------------------------------------------- an engine that set-up starts


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({}, ["--host", DEFAULT_ADDRESS]),
        (
            {dockerd.ROOT_VARIABLE: "/srv/e", dockerd.FLAGS_VARIABLE: "--bridge=none --mtu '1400'"},
            ["--host", "unix:///srv/e/docker.sock", "--data-root", "/srv/e/data",
             "--exec-root", "/srv/e/exec", "--bridge=none", "--mtu", "1400"],
        ),
    ],
)  # fmt: skip
def test_command(environment: dict[str, str], line: list[str]) -> None:
    made = dockerd.command(environment, Path("/clone/.state/dockerd.pid"))
    assert made == ["dockerd", "--pidfile", "/clone/.state/dockerd.pid", *line]


def _record(state: Path, pid: int, started: int, address: str = DEFAULT_ADDRESS) -> None:
    state.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"pid": pid, "started": started, "address": address})
    dockerd.record_file(state).write_text(text)


def test_the_recorded_process_is_ended(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        started = dockerd.start_time(process.pid)
        assert started is not None
        _record(tmp_path, process.pid, started)
        assert dockerd.read_record(tmp_path) is not None
        stopped = dockerd.stop(tmp_path)
        assert stopped is not None
        assert process.wait(10) == -15
    assert not dockerd.record_file(tmp_path).exists()


def test_another_process_with_the_recorded_id_is_left_alone(tmp_path: Path) -> None:
    started = dockerd.start_time(os.getpid())
    assert started is not None
    _record(tmp_path, os.getpid(), started - 1)  # SIGTERM would end this test run
    assert dockerd.read_record(tmp_path) is None
    assert dockerd.stop(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"pid": 1}'])
def test_a_spoilt_record_is_none(tmp_path: Path, text: str) -> None:
    dockerd.record_file(tmp_path).write_text(text)
    assert dockerd.read_record(tmp_path) is None


def test_an_engine_that_does_not_start_is_shown_with_its_log(tmp_path: Path) -> None:
    world = make_world(tmp_path, environment={dockerd.ROOT_VARIABLE: str(tmp_path / "root")})
    world.context.state.mkdir()
    program = world.program("dockerd", "failed to mount overlay: operation not permitted")
    with pytest.raises(SetupError, match="failed to mount overlay") as refused:
        dockerd.start(world.context, program)
    assert refused.value.problem == "dockerd did not start"
    assert not dockerd.record_file(world.context.state).exists()


def test_an_engine_that_an_interrupted_run_started_is_waited_for(
    tmp_path: Path, served: SocketEngine
) -> None:
    world = make_world(tmp_path)
    started = dockerd.start_time(os.getpid())
    assert started is not None
    _record(world.context.state, os.getpid(), started, served.address)
    assert dockerd.start(world.context, Path("/nowhere/dockerd")) == served.address


# ----------------------------------------------------------------------------- the base image

IMAGE = f"/images/{versions.BASE_IMAGE}/json"


def test_an_image_on_the_engine_is_used(tmp_path: Path, served: SocketEngine) -> None:
    served.answers[f"GET {IMAGE.replace(':', '%3A')}"] = (200, {})
    name, done = base_image.base_image(make_world(tmp_path).context, served.address)
    assert (name, done.changed) == (versions.BASE_IMAGE, False)
    assert not any(line.startswith("POST") for line in served.asked)


def test_an_image_is_pulled(tmp_path: Path, served: SocketEngine) -> None:
    served.answers["POST /images/create"] = (200, ({"status": "Pulling"}, {"status": "Done"}))
    _, done = base_image.base_image(make_world(tmp_path).context, served.address)
    assert (done.source, done.changed) == ("pulled", True)
    assert served.asked[-1] == f"POST /images/create?fromImage={versions.BASE_IMAGE}"


@pytest.mark.parametrize(
    ("minimum", "named"), [(None, "1.41"), ("1.12", "1.41"), ("1.41", "1.41"), ("1.44", "1.44")]
)
def test_call_version(minimum: str | None, named: str) -> None:
    assert call_version({"MinAPIVersion": minimum}) == named


def test_a_newer_engine_that_takes_no_old_calls(tmp_path: Path) -> None:
    with serve_engine(tmp_path, calls="1.44") as engine:
        engine.answers["POST /images/create"] = (200, {"status": "Done"})
        EngineApi(engine.address).pull("debian:trixie-slim", 5)


def test_an_error_at_the_end_of_a_pull_counts(served: SocketEngine) -> None:
    served.answers["POST /images/create"] = (200, ({"status": "Pulling"}, {"error": "disk full"}))
    with pytest.raises(EngineError, match="disk full"):
        EngineApi(served.address).pull("debian:trixie-slim", 5)


def test_an_image_that_cannot_be_had_is_explained(tmp_path: Path, served: SocketEngine) -> None:
    served.answers["POST /images/create"] = (500, {"message": "no such host"})
    world = make_world(tmp_path, machine=USER)
    with pytest.raises(SetupError, match="cannot be pulled") as refused:
        base_image.base_image(world.context, served.address)
    assert "docker load" in refused.value.remedy
    assert world.context.fetcher.unreachable.knows(REGISTRY)


def test_a_base_image_of_the_users_choice_is_not_made(tmp_path: Path, served: SocketEngine) -> None:
    served.answers["POST /images/create"] = (500, {"message": "no such host"})
    world = make_world(
        tmp_path, environment={versions.BASE_IMAGE_VARIABLE: "reg.corp.example/debian:13"}
    )
    with pytest.raises(SetupError, match=r"reg\.corp\.example/debian:13 .* no such host"):
        base_image.base_image(world.context, served.address)
    assert not world.context.fetcher.unreachable.knows(REGISTRY)


@pytest.mark.parametrize(
    ("machine", "has_tool", "wanted"),
    [(USER, True, Way.TOOL_HERE), (DEBIAN_ROOT, False, Way.INSTALL_TOOL)],
)
def test_way(machine: Machine, has_tool: bool, wanted: Way) -> None:
    assert way(machine, has_tool=has_tool) is wanted


@pytest.mark.parametrize(
    ("lines", "mirror"),
    [
        ([], None),
        (["http://security.debian.org/debian-security/ Debian"], None),
        (["https://deb.nodesource.com/node_20.x/ Node", "http://m.example/debian/ Debian"],
         "http://m.example/debian/"),
    ],
)  # fmt: skip
def test_debian_mirror(lines: list[str], mirror: str | None) -> None:
    assert debian_mirror(lines) == mirror
