"""The whole life of a small stack, with the real CLI and engine."""

from __future__ import annotations

import re

import pytest

from tests.integration.docker_plugin.plugin_project import Project

pytestmark = pytest.mark.integration

STACK = """
network = docker.Network(
    "net", name=f"{{RUN}}-net", internal=True,
    labels=[docker.NetworkLabelArgs(label="tlsgate.dev", value="docker-plugin")],
)
volume = docker.Volume("vol", name=f"{{RUN}}-vol")
image = docker.RemoteImage(
    "img", name=f"{{RUN}}:1", keep_locally=False,
    build=docker.RemoteImageBuildArgs(context="context", build_args={{"WORD": "first"}}),
)
container = docker.Container(
    "web", name=f"{{RUN}}-web", image=image.image_id, labels=LABELS,
    command=["sleep", "1000"], init=True, memory={memory}, memory_swap=256,
    envs=["WORD={word}", pulumi.Output.secret("TOKEN=top-secret-value")],
    uploads=[docker.ContainerUploadArgs(file="/etc/uploaded", content="hello", permissions="0600")],
    mounts=[docker.ContainerMountArgs(
        type="volume", source=volume.name, target="/data", read_only=True)],
    tmpfs={{"/scratch": "size=1m"}},
    capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"], adds=["CAP_KILL"]),
    security_opts=["no-new-privileges:true"],
    networks_advanced=[docker.ContainerNetworksAdvancedArgs(name=network.name, aliases=["www"])],
    opts=pulumi.ResourceOptions(delete_before_replace=True),
)
pulumi.export("address", container.network_datas[0].ip_address)
pulumi.export("image", image.image_id)
"""
DOCKERFILE = "FROM debian:trixie-slim\nARG WORD\nRUN echo $WORD > /word\nCOPY . /copied/\n"


def write(project: Project, *, memory: int = 64, word: str = "a") -> None:
    context = project.directory / "context"
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text(DOCKERFILE)
    (context / ".dockerignore").write_text("ignored\n")
    (context / "ignored").write_text("x")
    (context / "kept").write_text("x")
    project.program(STACK.format(memory=memory, word=word))


def run_in(project: Project, *command: str) -> str:
    identity = project.inspect("web")["Id"]
    execution = project.client.exec_create(identity, list(command))
    return bytes(project.client.exec_start(execution["Id"])).decode()


def test_create_change_and_destroy(project: Project) -> None:
    write(project)
    preview = project.pulumi("preview")
    assert preview.ok, preview.text
    assert "5 to create" in preview.text.replace("+ ", "")
    assert project.left() == []

    said = project.up()
    assert "5 created" in said
    made = project.inspect("web")
    assert re.search(r'image *: +"sha256:[0-9a-f]{64}"', said)
    assert made["HostConfig"]["CapDrop"] == ["ALL"]
    assert made["HostConfig"]["SecurityOpt"] == ["no-new-privileges:true"]
    assert made["HostConfig"]["Tmpfs"] == {"/scratch": "size=1m"}
    assert list(made["NetworkSettings"]["Networks"]) == [f"{project.run}-net"]
    assert made["NetworkSettings"]["Networks"][f"{project.run}-net"]["IPAddress"] in said
    assert run_in(project, "cat", "/word", "/etc/uploaded") == "first\nhello"
    assert run_in(project, "stat", "-c%a", "/etc/uploaded") == "600\n"
    assert run_in(project, "ls", "/copied") == "Dockerfile\nkept\n"
    assert "top-secret-value" not in project.state()

    assert "5 unchanged" in project.up()
    refreshed = project.pulumi("refresh", "--yes", "--expect-no-changes")
    assert refreshed.ok, refreshed.text
    assert "top-secret-value" not in project.state()

    write(project, memory=80)
    assert "1 updated" in project.up()
    assert project.inspect("web")["Id"] == made["Id"]
    assert project.inspect("web")["HostConfig"]["Memory"] == 80 * 1024 * 1024

    write(project, memory=80, word="b")
    preview = project.pulumi("preview", "--diff")
    assert "envs" in preview.text
    assert "1 to replace" in preview.text.replace("+-", "").replace("  ", " ")
    assert "1 replaced" in project.up()
    assert project.inspect("web")["Id"] != made["Id"]
    assert "WORD=b" in project.inspect("web")["Config"]["Env"]
    assert "5 unchanged" in project.up()

    destroyed = project.pulumi("destroy", "--yes", "--skip-preview")
    assert destroyed.ok, destroyed.text
    assert project.left() == []


SIMPLE = """
docker.Container(
    "web", name=f"{{RUN}}-web", image=docker.RemoteImage(
        "base", name=IMAGE, keep_locally=True).image_id,
    command=["sleep", "1000"], labels=LABELS, {more}
)
"""


def test_changes_by_hand_are_found_and_undone(project: Project) -> None:
    project.program(SIMPLE.format(more="restart='always', memory=64, memory_swap=128"))
    project.up()
    identity = project.inspect("web")["Id"]
    project.client.update_container(
        identity, restart_policy={"Name": "on-failure"}, mem_limit=32 * 1024 * 1024
    )

    shown = project.pulumi("refresh", "--preview-only", "--diff")
    assert re.search(r'restart *: "always" => "on-failure"', shown.text), shown.text
    assert re.search(r"memory *: 64 => 32", shown.text), shown.text
    assert project.pulumi("refresh", "--yes").ok
    assert "1 updated" in project.up()
    repaired = project.inspect("web")
    assert repaired["Id"] == identity
    assert repaired["HostConfig"]["RestartPolicy"]["Name"] == "always"
    assert repaired["HostConfig"]["Memory"] == 64 * 1024 * 1024


def test_a_stopped_container_is_replaced(project: Project) -> None:
    project.program(SIMPLE.format(more=""))
    project.up()
    first = project.inspect("web")["Id"]
    project.client.kill(first)

    refreshed = project.pulumi("refresh", "--yes")
    assert refreshed.ok, refreshed.text
    assert "1 deleted" in refreshed.text
    assert "1 created" in project.up()
    assert project.inspect("web")["State"]["Running"]
    assert project.inspect("web")["Id"] != first


def test_what_was_removed_by_hand_is_created_again(project: Project) -> None:
    project.program(
        """
        docker.Network("net", name=f"{RUN}-net")
        docker.Volume("vol", name=f"{RUN}-vol")
        """
    )
    project.up()
    project.client.remove_network(f"{project.run}-net")
    project.client.remove_volume(f"{project.run}-vol")
    assert project.pulumi("refresh", "--yes").ok
    assert "2 created" in project.up()
    assert project.left() == [f"{project.run}-net", f"{project.run}-vol"]


def test_attach_gives_the_exit_code_and_the_log(project: Project) -> None:
    project.program(
        """
        job = docker.Container(
            "job", name=f"{RUN}-job", labels=LABELS, attach=True, logs=True, must_run=False,
            image=docker.RemoteImage("base", name=IMAGE, keep_locally=True).image_id,
            command=["sh", "-c", "sleep 1; echo done; exit 7"],
        )
        pulumi.export("code", job.exit_code)
        pulumi.export("log", job.container_logs)
        """
    )
    said = project.up()
    assert re.search(r"code *: 7", said), said
    assert "done" in said
    refreshed = project.pulumi("refresh", "--yes", "--expect-no-changes")
    assert refreshed.ok, refreshed.text


def test_a_published_port_is_bound(project: Project) -> None:
    project.program(
        SIMPLE.format(more="ports=[docker.ContainerPortArgs(internal=25, ip='127.0.0.1')]")
    )
    project.up()
    (binding,) = project.inspect("web")["NetworkSettings"]["Ports"]["25/tcp"]
    assert binding["HostIp"] == "127.0.0.1"
    assert "unchanged" in project.up()
