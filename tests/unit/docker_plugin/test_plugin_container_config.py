"""Container inputs to the engine's request body, and an inspection back to outputs."""

# ruff: noqa: S104 - the addresses are data, nothing is bound

from __future__ import annotations

from typing import Any

import pytest

from toolchain.offline.docker_plugin.container_config import (
    create_body,
    drifted,
    nanoseconds,
    observed,
    update_body,
)
from toolchain.offline.docker_plugin.failures import PluginError

MEGABYTE = 1024 * 1024
DEFAULTS = {
    "AutoRemove": False,
    "Init": False,
    "Privileged": False,
    "ReadonlyRootfs": False,
    "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
}


@pytest.mark.parametrize(
    ("inputs", "config", "host"),
    [
        ({}, {}, {}),
        (
            {"command": ["a"], "entrypoints": ["b"], "envs": ["A=1"], "user": "1:2"},
            {"Cmd": ["a"], "Entrypoint": ["b"], "Env": ["A=1"], "User": "1:2"},
            {},
        ),
        (
            {"hostname": "h", "domainname": "d", "workingDir": "/w", "stopTimeout": 9},
            {"Hostname": "h", "Domainname": "d", "WorkingDir": "/w", "StopTimeout": 9},
            {},
        ),
        ({"labels": [{"label": "a", "value": "b"}]}, {"Labels": {"a": "b"}}, {}),
        (
            {"healthcheck": {"tests": ["CMD", "x"], "interval": "1m30s", "retries": 3}},
            {
                "Healthcheck": {
                    "Test": ["CMD", "x"],
                    "Interval": 90_000_000_000,
                    "Timeout": 0,
                    "StartPeriod": 0,
                    "Retries": 3,
                }
            },
            {},
        ),
        (
            {"capabilities": {"adds": ["KILL"], "drops": ["ALL"]}, "readOnly": True},
            {},
            {"CapAdd": ["KILL"], "CapDrop": ["ALL"], "ReadonlyRootfs": True},
        ),
        (
            {"memory": 64, "memorySwap": -1, "cpuShares": 5, "shmSize": 2},
            {},
            {
                "Memory": 64 * MEGABYTE,
                "MemorySwap": -1,
                "CpuShares": 5,
                "ShmSize": 2 * MEGABYTE,
            },
        ),
        ({"memorySwap": 64}, {}, {"MemorySwap": 64 * MEGABYTE}),
        (
            {
                "ports": [
                    {"internal": 25, "external": 2525, "ip": "127.0.0.1"},
                    {"internal": 53, "protocol": "udp"},
                ]
            },
            {"ExposedPorts": {"25/tcp": {}, "53/udp": {}}},
            {
                "PortBindings": {
                    "25/tcp": [{"HostIp": "127.0.0.1", "HostPort": "2525"}],
                    "53/udp": [{"HostIp": "0.0.0.0", "HostPort": ""}],
                }
            },
        ),
        (
            {"ports": [{"internal": 25, "external": 1}, {"internal": 25, "external": 2}]},
            {"ExposedPorts": {"25/tcp": {}}},
            {
                "PortBindings": {
                    "25/tcp": [
                        {"HostIp": "0.0.0.0", "HostPort": "1"},
                        {"HostIp": "0.0.0.0", "HostPort": "2"},
                    ]
                }
            },
        ),
        (
            {
                "mounts": [
                    {
                        "type": "volume",
                        "source": "v",
                        "target": "/v",
                        "readOnly": True,
                        "volumeOptions": {"noCopy": True},
                    },
                    {
                        "type": "bind",
                        "source": "/s",
                        "target": "/b",
                        "bindOptions": {"propagation": "rslave"},
                    },
                    {
                        "type": "tmpfs",
                        "target": "/t",
                        "tmpfsOptions": {"mode": 0o1777, "sizeBytes": 9},
                    },
                ]
            },
            {},
            {
                "Mounts": [
                    {
                        "Type": "volume",
                        "Source": "v",
                        "Target": "/v",
                        "ReadOnly": True,
                        "VolumeOptions": {"NoCopy": True},
                    },
                    {
                        "Type": "bind",
                        "Source": "/s",
                        "Target": "/b",
                        "ReadOnly": False,
                        "BindOptions": {"Propagation": "rslave"},
                    },
                    {
                        "Type": "tmpfs",
                        "Target": "/t",
                        "ReadOnly": False,
                        "TmpfsOptions": {"Mode": 0o1777, "SizeBytes": 9},
                    },
                ]
            },
        ),
        (
            {
                "volumes": [
                    {"volumeName": "v", "containerPath": "/v", "readOnly": True},
                    {"hostPath": "/h", "containerPath": "/b"},
                    {"containerPath": "/anonymous"},
                    {"fromContainer": "c"},
                ]
            },
            {"Volumes": {"/anonymous": {}}},
            {"Binds": ["v:/v:ro", "/h:/b:rw"], "VolumesFrom": ["c"]},
        ),
        (
            {
                "tmpfs": {"/run": "size=1m"},
                "securityOpts": ["no-new-privileges:true"],
                "init": True,
            },
            {},
            {"Tmpfs": {"/run": "size=1m"}, "SecurityOpt": ["no-new-privileges:true"], "Init": True},
        ),
        (
            {
                "dns": ["192.0.2.1"],
                "dnsSearches": ["a"],
                "dnsOpts": ["ndots:0"],
                "hosts": [{"host": "h", "ip": "192.0.2.2"}],
            },
            {},
            {
                "Dns": ["192.0.2.1"],
                "DnsSearch": ["a"],
                "DnsOptions": ["ndots:0"],
                "ExtraHosts": ["h:192.0.2.2"],
            },
        ),
        (
            {
                "restart": "on-failure",
                "maxRetryCount": 2,
                "logDriver": "json-file",
                "logOpts": {"max-size": "1m"},
            },
            {},
            {
                "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2},
                "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
            },
        ),
        (
            {
                "ulimits": [{"name": "nofile", "soft": 1, "hard": 2}],
                "sysctls": {"net.core.somaxconn": "9"},
                "networkMode": "none",
            },
            {},
            {
                "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}],
                "Sysctls": {"net.core.somaxconn": "9"},
                "NetworkMode": "none",
            },
        ),
    ],
)
def test_create_body(inputs: dict[str, Any], config: dict[str, Any], host: dict[str, Any]) -> None:
    assert create_body({"image": "i", **inputs}) == {
        "Image": "i",
        **config,
        "HostConfig": {**DEFAULTS, **host},
    }


def test_update_body_has_the_live_limits_only() -> None:
    assert update_body({"image": "i", "memory": 64, "restart": "always", "envs": ["A=1"]}) == {
        "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
        "Memory": 64 * MEGABYTE,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("0s", 0), ("500ms", 500_000_000), ("1.5s", 1_500_000_000), ("1h1s", 3601 * 10**9)],
)
def test_durations(text: str, expected: int) -> None:
    assert nanoseconds(text) == expected


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "5sx"])
def test_bad_durations_are_named(text: str) -> None:
    with pytest.raises(PluginError, match="is not a duration"):
        nanoseconds(text)


def inspection(**changes: Any) -> dict[str, Any]:
    host = {
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "Memory": 0,
        "MemorySwap": 0,
        "CpuShares": 0,
        "CpusetCpus": "",
        "ShmSize": 64 * MEGABYTE,
        "LogConfig": {"Type": "json-file"},
        **changes.pop("host", {}),
    }
    return {
        "Name": "/web",
        "Config": {"Cmd": ["sh"], "Hostname": "abc"},
        "HostConfig": host,
        "NetworkSettings": {
            "Bridge": "",
            "Networks": {
                "b": {"IPAddress": "192.0.2.2", "IPPrefixLen": 24},
                "a": {"IPAddress": "192.0.2.1"},
            },
            "Ports": {"25/tcp": [{"HostIp": "0.0.0.0", "HostPort": "49153"}]},
        },
        "State": {"Running": True, "ExitCode": 0},
        **changes,
    }


def test_observed_sorts_networks_and_fills_published_ports() -> None:
    found = observed(inspection(), {"ports": [{"internal": 25}]})
    assert [data["networkName"] for data in found["networkDatas"]] == ["a", "b"]
    assert found["ports"] == [
        {"internal": 25, "external": 49153, "ip": "0.0.0.0", "protocol": "tcp"}
    ]
    assert (found["name"], found["hostname"], found["shmSize"]) == ("web", "abc", 64)
    assert "exitCode" not in found


def test_the_exit_code_shows_once_the_container_has_ended() -> None:
    ended = inspection(State={"Running": False, "ExitCode": 3})
    assert observed(ended, {})["exitCode"] == 3


@pytest.mark.parametrize(
    ("host", "inputs", "expected"),
    [
        ({}, {}, {}),
        ({"MemorySwap": 128 * MEGABYTE}, {}, {}),
        ({"Memory": 64 * MEGABYTE, "MemorySwap": 128 * MEGABYTE}, {"memory": 64}, {}),
        ({"Memory": 32 * MEGABYTE}, {"memory": 64}, {"memory": 32}),
        ({"Memory": 32 * MEGABYTE}, {}, {"memory": 32}),
        ({"MemorySwap": -1}, {"memorySwap": 64}, {"memorySwap": -1}),
        ({"RestartPolicy": {"Name": "always"}}, {}, {"restart": "always"}),
        ({"RestartPolicy": {"Name": ""}}, {"restart": "no"}, {}),
        ({"CpusetCpus": "0"}, {"cpuSet": "0-1"}, {"cpuSet": "0"}),
    ],
)
def test_drift(host: dict[str, Any], inputs: dict[str, Any], expected: dict[str, Any]) -> None:
    assert drifted(inspection(host=host), inputs) == expected


def test_a_renamed_container_is_drift() -> None:
    assert drifted(inspection(), {"name": "gateway"}) == {"name": "web"}
