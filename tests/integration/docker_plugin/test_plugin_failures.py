"""Errors have clear messages and leave nothing incomplete; the next run continues."""

from __future__ import annotations

import pytest

from tests.integration.docker_plugin.plugin_project import Project

pytestmark = pytest.mark.integration

BASE = 'base = docker.RemoteImage("base", name=IMAGE, keep_locally=True).image_id\n'
DEFAULTS = "labels=LABELS, image=base"


def test_refusals_are_named(stand_in: Project) -> None:
    stand_in.program(
        BASE + f'docker.Container("web", {DEFAULTS}, gpus="all", tty=True, privileged=False)'
    )
    refused = stand_in.pulumi("preview")
    assert not refused.ok
    for name in ("gpus", "tty"):
        assert (
            "lab stand-in for the Docker plugin does not implement Container property "
            f"'{name}'; use the real plugin"
        ) in refused.text


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (
            'docker.Tag("t", source_image=IMAGE, target_image="x:1")',
            "does not implement the resource docker:index/tag:Tag",
        ),
        (
            'docker.get_network(name="bridge")',
            "does not implement the function docker:index/getNetwork:getNetwork",
        ),
        (
            'docker.Network.get("n", "bridge")',
            "does not implement import or get of docker:index/network:Network bridge",
        ),
        (
            'docker.Volume("v", opts=pulumi.ResourceOptions('
            'provider=docker.Provider("p", cert_path="/x")))',
            "does not implement provider property 'certPath'",
        ),
    ],
)
def test_foreign_resources_functions_and_settings_are_refused(
    stand_in: Project, program: str, words: str
) -> None:
    stand_in.program(program)
    refused = stand_in.pulumi("preview")
    assert not refused.ok
    assert words in refused.text, refused.text


def test_no_engine(stand_in: Project) -> None:
    stand_in.environment["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    stand_in.program('docker.Volume("v", name=f"{RUN}-v")')
    refused = stand_in.pulumi("preview")
    assert not refused.ok
    assert "No Docker engine at unix:///nowhere/docker.sock" in refused.text


def test_the_host_of_the_stack_configuration_is_used(project: Project) -> None:
    host = project.environment.pop("DOCKER_HOST", "unix:///var/run/docker.sock")
    assert project.pulumi("config", "set", "docker:host", host).ok
    project.program('docker.Volume("v", name=f"{RUN}-v")')
    project.up()
    assert project.left() == [f"{project.run}-v"]


def test_a_build_that_fails_shows_its_log_and_is_repeated(project: Project) -> None:
    context = project.directory / "context"
    context.mkdir()
    dockerfile = context / "Dockerfile"
    dockerfile.write_text("FROM debian:trixie-slim\nRUN echo about-to-fail && exit 3\n")
    project.program(
        'docker.RemoteImage("i", name=f"{RUN}:1", build=docker.RemoteImageBuildArgs('
        'context="context", force_remove=True))'
    )
    there = {container["Id"] for container in project.client.containers(all=True)}
    said = project.failing_up()
    assert "about-to-fail" in said
    assert "returned a non-zero code: 3" in said
    assert {container["Id"] for container in project.client.containers(all=True)} == there
    dockerfile.write_text("FROM debian:trixie-slim\nRUN echo repaired\n")
    assert "1 created" in project.up()


def test_a_container_that_ends_at_once_fails_and_leaves_nothing(project: Project) -> None:
    project.program(
        BASE + f'docker.Container("web", name=f"{{RUN}}-web", {DEFAULTS}, '
        'command=["sh", "-c", "echo no-such-setting; exit 4"])'
    )
    said = project.failing_up()
    if project.is_stand_in:
        assert "ended at once with exit code 4" in said
        assert "no-such-setting" in said
    assert project.left() == []
    project.program(
        BASE + f'docker.Container("web", name=f"{{RUN}}-web", {DEFAULTS}, '
        'command=["sleep", "1000"])'
    )
    assert "1 created" in project.up()


def test_a_port_in_use_fails_and_the_next_run_continues(stand_in: Project) -> None:
    ports = "ports=[docker.ContainerPortArgs(internal=25, external=48125, ip='127.0.0.1')]"
    one, two = (
        f'docker.Container("{name}", name=f"{{RUN}}-{name}", {DEFAULTS}, {ports}, '
        'command=["sleep", "1000"])\n'
        for name in ("one", "two")
    )
    stand_in.program(BASE + one)
    stand_in.up()
    stand_in.program(BASE + one + two)
    said = stand_in.failing_up()
    assert "Unable to start container" in said
    assert "port is already allocated. Stop what holds the port" in said
    assert stand_in.left() == [f"{stand_in.run}-one"]
    stand_in.program(BASE)
    stand_in.up()
    stand_in.program(BASE + two)
    assert "1 created" in stand_in.up()


def test_a_name_in_use_is_reported(stand_in: Project) -> None:
    one, two = (
        f'docker.Container("{name}", name=f"{{RUN}}-same", {DEFAULTS}, command=["sleep", "1000"])\n'
        for name in ("one", "two")
    )
    stand_in.program(BASE + one)
    stand_in.up()
    stand_in.program(BASE + one + two)
    said = stand_in.failing_up()
    assert "is already in use by container" in said
    assert "choose another name" in said


NEVER = (
    'docker.Container("web", name=f"{{RUN}}-web", {defaults}, wait=True, wait_timeout={timeout}, '
    'command=["sh", "-c", "echo starting-up; sleep 1000"], '
    'healthcheck=docker.ContainerHealthcheckArgs(tests=["CMD-SHELL", "{test}"], '
    'interval="500ms", timeout="1s", retries=2))'
)


def test_wait_fails_with_the_log_and_the_next_up_replaces(stand_in: Project) -> None:
    stand_in.program(BASE + NEVER.format(defaults=DEFAULTS, timeout=2, test="echo not-yet; exit 1"))
    said = stand_in.failing_up()
    assert "was not healthy after 2 s" in said
    assert "starting-up" in said
    assert "not-yet" in said
    unhealthy = stand_in.inspect("web")
    assert unhealthy["State"]["Running"]

    stand_in.program(BASE + NEVER.format(defaults=DEFAULTS, timeout=20, test="true"))
    assert "1 replaced" in stand_in.up()
    assert stand_in.inspect("web")["Id"] != unhealthy["Id"]
    assert stand_in.inspect("web")["State"]["Health"]["Status"] == "healthy"
    assert "unchanged" in stand_in.up()


def test_a_container_that_never_became_ready_is_destroyed(stand_in: Project) -> None:
    stand_in.program(BASE + NEVER.format(defaults=DEFAULTS, timeout=1, test="false"))
    stand_in.failing_up()
    destroyed = stand_in.pulumi("destroy", "--yes", "--skip-preview")
    assert destroyed.ok, destroyed.text
    assert stand_in.left() == []


def test_wait_without_a_health_check_is_reported(stand_in: Project) -> None:
    stand_in.program(
        BASE + f'docker.Container("web", name=f"{{RUN}}-web", {DEFAULTS}, wait=True, '
        'command=["sleep", "1000"])'
    )
    assert "no health check to wait for" in stand_in.failing_up()


def test_a_volume_in_use_is_reported(stand_in: Project) -> None:
    stand_in.program(
        'docker.Volume("v", name=f"{RUN}-v", opts=pulumi.ResourceOptions('
        'custom_timeouts=pulumi.CustomTimeouts(delete="1s")))'
    )
    stand_in.up()
    name = f"{stand_in.run}-v"
    body = stand_in.client.create_host_config(binds=[f"{name}:/data"])
    stand_in.client.create_container(
        "debian:trixie-slim", ["true"], name=f"{stand_in.run}-user", host_config=body
    )
    refused = stand_in.pulumi("destroy", "--yes", "--skip-preview")
    assert not refused.ok
    assert f"Volume {name} is still used by {stand_in.run}-user" in refused.text
    stand_in.client.remove_container(f"{stand_in.run}-user")
    assert stand_in.pulumi("destroy", "--yes", "--skip-preview").ok
