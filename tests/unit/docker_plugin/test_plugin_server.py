"""The protocol, over a real gRPC connection and without an engine."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from pulumi.runtime import proto
from pulumi.runtime.proto import provider_pb2_grpc

from tests.unit.toolchain.socket_engine import serve_engine
from toolchain.offline.docker_plugin import answers
from toolchain.offline.docker_plugin.__main__ import installed_plugin
from toolchain.offline.docker_plugin.engine import Engine
from toolchain.offline.docker_plugin.failures import PluginError
from toolchain.offline.docker_plugin.server import DockerPlugin
from toolchain.offline.docker_plugin.values import UNKNOWN, from_struct, to_struct

CONTAINER = "urn:pulumi:dev::p::tlsgate:index:Gateway$docker:index/container:Container::web"
NETWORK = "urn:pulumi:dev::p::docker:index/network:Network::net"
TAG = "urn:pulumi:dev::p::docker:index/tag:Tag::tag"


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    server = grpc.server(ThreadPoolExecutor(2))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(DockerPlugin(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield provider_pb2_grpc.ResourceProviderStub(channel)
    server.stop(None).wait()


def check(plugin: Any, urn: str, inputs: dict[str, Any], **more: Any) -> Any:
    return plugin.Check(proto.CheckRequest(urn=urn, news=to_struct(inputs), **more))


def test_the_version_is_the_one_that_the_sdk_asks_for(plugin: Any) -> None:
    from pulumi_docker import _utilities

    sdk: Any = _utilities
    assert plugin.GetPluginInfo(proto.GetSchemaRequest()).version == sdk.get_version()


@pytest.mark.parametrize(
    ("method", "request_", "words"),
    [
        ("Check", proto.CheckRequest(urn=TAG), "the resource docker:index/tag:Tag"),
        (
            "Invoke",
            proto.InvokeRequest(tok="docker:index/getNetwork:getNetwork"),
            "the function docker:index/getNetwork:getNetwork",
        ),
        ("Read", proto.ReadRequest(urn=NETWORK, id="abc"), "import or get of docker:index/network"),
        ("Construct", proto.ConstructRequest(type="docker:x:Y"), "the component docker:x:Y"),
    ],
)
def test_what_is_not_implemented_is_refused_by_name(
    plugin: Any, method: str, request_: Any, words: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        getattr(plugin, method)(request_)
    assert words in str(caught.value.details())
    assert str(caught.value.details()).endswith("use the real plugin")


def test_every_refused_property_is_in_one_answer(plugin: Any) -> None:
    answer = check(plugin, CONTAINER, {"image": "i", "gpus": "all", "ipcMode": "host"})
    assert [failure.property for failure in answer.failures] == ["gpus", "ipcMode"]


def test_provider_settings_are_refused_by_name(plugin: Any) -> None:
    news = to_struct({"host": "unix:///x", "certPath": "/y"})
    (failure,) = plugin.CheckConfig(proto.CheckRequest(news=news)).failures
    assert "provider property 'certPath'" in failure.reason


def test_a_container_without_a_name_gets_one_and_keeps_it(plugin: Any) -> None:
    first = from_struct(check(plugin, CONTAINER, {"image": "i"}, randomSeed=b"1").inputs)
    assert first["name"].startswith("web-")
    again = check(plugin, CONTAINER, {"image": "i"}, randomSeed=b"2", olds=to_struct(first))
    assert from_struct(again.inputs)["name"] == first["name"]


def test_a_preview_creates_nothing_and_keeps_unknowns(plugin: Any) -> None:
    properties = to_struct({"image": UNKNOWN, "name": "web", "envs": [UNKNOWN]})
    answer = plugin.Create(proto.CreateRequest(urn=CONTAINER, properties=properties, preview=True))
    outputs = from_struct(answer.properties)
    assert answer.id == ""
    assert outputs["name"] == "web"
    assert outputs["networkDatas"] is UNKNOWN
    assert outputs["envs"] == [UNKNOWN]


def test_an_update_preview_keeps_what_is_known(plugin: Any) -> None:
    answer = plugin.Update(
        proto.UpdateRequest(
            urn=CONTAINER,
            olds=to_struct({"image": "i", "hostname": "h", "memory": 1}),
            news=to_struct({"image": "i", "memory": 2}),
            preview=True,
        )
    )
    assert from_struct(answer.properties) == {"image": "i", "hostname": "h", "memory": 2}


def test_diff_says_what_replaces(plugin: Any) -> None:
    answer = plugin.Diff(
        proto.DiffRequest(
            urn=CONTAINER,
            old_inputs=to_struct({"image": "i", "memory": 1}),
            olds=to_struct({"image": "i", "memory": 1}),
            news=to_struct({"image": "j", "memory": 2}),
        )
    )
    assert answer.changes == proto.DiffResponse.DIFF_SOME
    assert list(answer.replaces) == ["image"]
    assert answer.detailedDiff["image"].kind == proto.PropertyDiff.UPDATE_REPLACE
    assert answer.detailedDiff["memory"].kind == proto.PropertyDiff.UPDATE
    assert not answer.deleteBeforeReplace


def test_what_never_became_ready_is_replaced_and_goes_first(plugin: Any) -> None:
    same = to_struct({"image": "i"})
    olds = to_struct({"image": "i", "__notReady": True})
    answer = plugin.Diff(proto.DiffRequest(urn=CONTAINER, old_inputs=same, olds=olds, news=same))
    assert list(answer.replaces) == ["__notReady"]
    assert answer.deleteBeforeReplace


def test_no_engine_is_said_with_the_next_step() -> None:
    with warnings.catch_warnings():
        # docker-py leaves the socket that could not connect to the garbage collector. Not through
        # the plugin: its thread would hold the exception, and the socket with it, for longer.
        warnings.simplefilter("ignore", ResourceWarning)
        said = ""
        try:
            Engine("unix:///nowhere/docker.sock").verify()
        except PluginError as error:
            said = str(error)
        gc.collect()
    assert said == (
        "No Docker engine at unix:///nowhere/docker.sock: No such file or directory. Start it, or "
        "set DOCKER_HOST or `pulumi config set docker:host` to the address of one that runs."
    )


@pytest.mark.parametrize(
    ("name", "value"), [("DOCKER_CONTEXT", "other"), ("DOCKER_TLS_VERIFY", "1")]
)
def test_foreign_settings_are_refused_by_name(
    plugin: Any, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(grpc.RpcError) as caught:
        plugin.Configure(proto.ConfigureRequest())
    assert f"does not implement the environment variable {name}" in str(caught.value.details())


def test_an_old_engine_is_refused(plugin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import docker

    old = {"Version": "19.03.15", "ApiVersion": "1.40"}
    monkeypatch.setattr(docker.APIClient, "version", lambda self, api_version: old)
    with pytest.raises(grpc.RpcError) as caught:
        plugin.Configure(proto.ConfigureRequest())
    assert "too old: version 19.03.15 with API 1.40; 1.41" in str(caught.value.details())


@pytest.mark.parametrize("oldest", ["1.41", "1.44"])
def test_calls_name_the_oldest_version_that_the_engine_takes(tmp_path: Path, oldest: str) -> None:
    with serve_engine(tmp_path, oldest) as served:
        served.answers["GET /containers/json"] = (200, [{"Id": "x"}])
        engine = Engine(served.address)
        engine.verify()
        assert engine.client.containers() == [{"Id": "x"}]
        engine.client.close()


def test_resource_type_leaves_out_the_parents() -> None:
    assert answers.resource_type(CONTAINER) == "docker:index/container:Container"


def test_the_newest_installed_plugin_is_found(tmp_path: Path) -> None:
    assert installed_plugin(tmp_path) is None
    for version in ("5.2.0", "5.10.0", "4.9.9"):
        file = tmp_path / "plugins" / f"resource-docker-v{version}" / "pulumi-resource-docker"
        file.parent.mkdir(parents=True)
        file.touch()
        file.chmod(0o755 if version != "4.9.9" else 0o644)
    found = installed_plugin(tmp_path)
    assert found is not None
    assert found.parent.name == "resource-docker-v5.10.0"
    assert os.access(found, os.X_OK)
