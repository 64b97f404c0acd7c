"""What is refused, and what a change costs, as tables."""

from __future__ import annotations

from typing import Any

import pytest

from toolchain.offline.docker_plugin.properties import Change, check, differences
from toolchain.offline.docker_plugin.resources import (
    CONTAINER,
    NETWORK,
    PROVIDER,
    REMOTE_IMAGE,
    VOLUME,
)
from toolchain.offline.docker_plugin.values import UNKNOWN

IMAGE = {"image": "sha256:1"}


@pytest.mark.parametrize(
    ("resource", "table", "inputs", "path"),
    [
        ("Container", CONTAINER, {**IMAGE, "gpus": "all"}, "gpus"),
        ("Container", CONTAINER, {**IMAGE, "devices": []}, "devices"),
        ("Container", CONTAINER, {**IMAGE, "memoryReservation": 5}, "memoryReservation"),
        (
            "Container",
            CONTAINER,
            {**IMAGE, "healthcheck": {"tests": ["CMD", "true"], "startInterval": "1s"}},
            "healthcheck.startInterval",
        ),
        (
            "Container",
            CONTAINER,
            {**IMAGE, "networksAdvanced": [{"name": "n"}, {"name": "m", "macAddress": "x"}]},
            "networksAdvanced[1].macAddress",
        ),
        (
            "Container",
            CONTAINER,
            {
                **IMAGE,
                "mounts": [{"type": "volume", "target": "/x", "volumeOptions": {"subpath": "y"}}],
            },
            "mounts[0].volumeOptions.subpath",
        ),
        ("Network", NETWORK, {"ingress": True}, "ingress"),
        ("Volume", VOLUME, {"cluster": {}}, "cluster"),
        ("RemoteImage", REMOTE_IMAGE, {"name": "a", "platform": "x"}, "platform"),
        ("RemoteImage", REMOTE_IMAGE, {"name": "a", "pullTriggers": ["x"]}, "pullTriggers"),
        (
            "RemoteImage",
            REMOTE_IMAGE,
            {"name": "a", "build": {"context": ".", "secrets": []}},
            "build.secrets",
        ),
        ("provider", PROVIDER, {"registryAuth": []}, "registryAuth"),
        ("provider", PROVIDER, {"context": "other"}, "context"),
    ],
)
def test_what_is_not_implemented_is_refused_by_name(
    resource: str, table: Any, inputs: dict[str, Any], path: str
) -> None:
    (failure,) = check(resource, table, inputs)
    assert failure.path == path
    assert failure.reason == (
        f"lab stand-in for the Docker plugin does not implement {resource} property '{path}'; "
        "use the real plugin"
    )


@pytest.mark.parametrize(
    ("inputs", "reasons"),
    [
        ({}, ["Container property 'image' is missing"]),
        ({**IMAGE, "memory": "64"}, ["Container property 'memory' must be an integer"]),
        ({**IMAGE, "memory": True}, ["Container property 'memory' must be an integer"]),
        ({**IMAGE, "memory": -1}, ["Container property 'memory' must be 0 or more"]),
        ({**IMAGE, "memorySwap": -2}, ["Container property 'memorySwap' must be -1 or more"]),
        ({**IMAGE, "envs": "A=1"}, ["Container property 'envs' must be a set of strings"]),
        ({**IMAGE, "tmpfs": {"/run": 5}}, ["Container property 'tmpfs' must be a map of strings"]),
        ({**IMAGE, "ports": [5]}, ["Container property 'ports' must be a list of objects"]),
        (
            {**IMAGE, "restart": "sometimes"},
            [
                "Container property 'restart' is 'sometimes'; it must match "
                "no|on-failure|always|unless-stopped"
            ],
        ),
        (
            {**IMAGE, "ports": [{"external": 25}], "init": 1},
            [
                "Container property 'init' must be a boolean",
                "Container property 'ports[0].internal' is missing",
            ],
        ),
    ],
)
def test_wrong_values_are_all_reported(inputs: dict[str, Any], reasons: list[str]) -> None:
    assert [failure.reason for failure in check("Container", CONTAINER, inputs)] == reasons


def test_values_that_are_not_known_yet_pass() -> None:
    inputs = {
        "image": UNKNOWN,
        "memory": UNKNOWN,
        "envs": ["A=1", UNKNOWN],
        "mounts": [UNKNOWN],
        "tmpfs": {"/run": UNKNOWN},
        "ports": [{"internal": UNKNOWN}],
    }
    assert check("Container", CONTAINER, inputs) == []


IN_PLACE = [
    ("attach", True),
    ("cpuSet", "0"),
    ("cpuShares", 5),
    ("destroyGraceSeconds", 5),
    ("healthcheck", {"tests": ["CMD", "true"]}),
    ("init", True),
    ("logs", True),
    ("maxRetryCount", 3),
    ("memory", 64),
    ("memorySwap", 128),
    ("mustRun", False),
    ("removeVolumes", False),
    ("restart", "always"),
    ("rm", True),
    ("start", False),
    ("tmpfs", {"/run": ""}),
    ("wait", True),
    ("waitTimeout", 5),
]
REPLACING = [
    ("capabilities", {"drops": ["ALL"]}),
    ("command", ["sh"]),
    ("dns", ["192.0.2.1"]),
    ("entrypoints", ["sh"]),
    ("envs", ["A=1"]),
    ("hostname", "a"),
    ("labels", [{"label": "a", "value": "b"}]),
    ("mounts", [{"type": "tmpfs", "target": "/x"}]),
    ("name", "other"),
    ("networkMode", "host"),
    ("networksAdvanced", [{"name": "n"}]),
    ("ports", [{"internal": 25}]),
    ("privileged", True),
    ("readOnly", True),
    ("stopTimeout", 5),
    ("sysctls", {"a": "b"}),
    ("ulimits", [{"name": "nofile", "soft": 1, "hard": 1}]),
    ("uploads", [{"file": "/a", "content": "b"}]),
    ("user", "1000"),
]


@pytest.mark.parametrize(
    ("name", "value", "replace"),
    [(n, v, False) for n, v in IN_PLACE] + [(n, v, True) for n, v in REPLACING],
)
def test_which_container_inputs_replace(name: str, value: Any, replace: bool) -> None:
    added = differences(CONTAINER, IMAGE, {}, {**IMAGE, name: value})
    assert added == [Change(name, "add", replace)]
    assert differences(CONTAINER, {**IMAGE, name: value}, {}, {**IMAGE, name: value}) == []


def test_every_input_is_in_one_of_the_two_lists_of_the_real_plugin() -> None:
    assert {name for name, spec in CONTAINER.items() if spec.in_place} == {n for n, _ in IN_PLACE}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"envs": ["A=1", "B=2"]}, {"envs": ["B=2", "A=1"]}),
        ({"dns": ["192.0.2.1", "192.0.2.2"]}, {"dns": ["192.0.2.2", "192.0.2.1"]}),
        ({}, {"restart": "no"}),
        ({}, {"mustRun": True, "readOnly": False, "envs": []}),
        ({"command": ["sh"]}, {}),
        ({"labels": [{"label": "a", "value": "b"}]}, {}),
        ({"ports": [{"internal": 25}]}, {"ports": [{"internal": 25, "protocol": "tcp"}]}),
        (
            {"mounts": [{"type": "tmpfs", "target": "/a"}, {"type": "tmpfs", "target": "/b"}]},
            {"mounts": [{"type": "tmpfs", "target": "/b"}, {"type": "tmpfs", "target": "/a"}]},
        ),
    ],
)
def test_what_means_the_same_is_no_change(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert differences(CONTAINER, {**IMAGE, **old}, {}, {**IMAGE, **new}) == []


@pytest.mark.parametrize(
    ("table", "old", "new", "expected"),
    [
        (CONTAINER, {"tmpfs": {"/a": ""}}, {}, [Change("tmpfs", "delete", False)]),
        (
            CONTAINER,
            {"command": ["a", "b"]},
            {"command": ["b", "a"]},
            [Change("command", "update", True)],
        ),
        (CONTAINER, IMAGE, {"image": UNKNOWN}, [Change("image", "update", True)]),
        (CONTAINER, {"envs": ["A=1"]}, {"envs": [UNKNOWN]}, [Change("envs", "update", True)]),
        (NETWORK, {"driver": "bridge"}, {"driver": "macvlan"}, [Change("driver", "update", True)]),
        (VOLUME, {"name": "a"}, {"name": "b"}, [Change("name", "update", True)]),
        (
            REMOTE_IMAGE,
            {"name": "a"},
            {"name": "a", "keepLocally": True},
            [Change("keepLocally", "add", False)],
        ),
        (
            REMOTE_IMAGE,
            {"triggers": {"a": "1"}},
            {"triggers": {"a": "2"}},
            [Change("triggers", "update", True)],
        ),
        (
            REMOTE_IMAGE,
            {"build": {"context": ".", "buildArgs": {"A": "1"}}},
            {"build": {"context": ".", "buildArgs": {"A": "2"}, "target": "x"}},
            [Change("build.buildArgs", "update", True), Change("build.target", "add", False)],
        ),
    ],
)
def test_differences(
    table: Any, old: dict[str, Any], new: dict[str, Any], expected: list[Change]
) -> None:
    assert differences(table, old, {}, new) == expected


def test_an_input_that_equals_what_the_engine_chose_is_no_change() -> None:
    assert differences(CONTAINER, IMAGE, {"hostname": "web"}, {**IMAGE, "hostname": "web"}) == []
    assert differences(CONTAINER, IMAGE, {"hostname": "web"}, {**IMAGE, "hostname": "x"}) == [
        Change("hostname", "add", True)
    ]
