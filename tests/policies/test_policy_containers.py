"""Rules on containers and images: each fault by itself, and what is allowed."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, UnknownValueError

from policies.rule import CONTAINER, IMAGE, JOB
from tests.policies.run_rules import check_resource

DIGEST = "sha256:" + "ab" * 32
GOOD: dict[str, Any] = {
    "name": "tlsgate-test-gateway",
    "image": DIGEST,
    "readOnly": True,
    "privileged": False,
    "capabilities": {"drops": ["ALL"], "adds": ["CAP_SETUID", "CHOWN"]},
    "securityOpts": ["no-new-privileges:true"],
    "mounts": [{"type": "volume", "source": "keys", "target": "/keys"}],
    "memory": 256,
    "healthcheck": {"tests": ["CMD", "true"]},
    "envs": ["TLSGATE_RESOLVER=192.0.2.1", "KEY_FILE=/keys/key.pem", "TOKEN_FILE=/a", "MONKEY=1"],
    "networksAdvanced": [{"name": "net"}],
}
BIND = {"type": "bind", "target": "/x"}
FAULTS: dict[str, list[tuple[dict[str, Any], str]]] = {
    "container-privileges": [
        ({"privileged": True}, "it is privileged"),
        ({"securityOpts": []}, "it may gain privileges"),
        ({"securityOpts": None}, "it may gain privileges"),
        (
            {"securityOpts": ["no-new-privileges", "seccomp=unconfined"]},
            "it disables the engine's own protection: seccomp:unconfined",
        ),
    ],
    "container-capabilities": [
        ({"capabilities": {"drops": ["ALL"], "adds": ["CAP_SYS_ADMIN"]}}, "it adds SYS_ADMIN."),
        ({"capabilities": {"drops": ["ALL"], "adds": ["net_raw"]}}, "it adds NET_RAW."),
        ({"capabilities": {"drops": ["ALL"], "adds": ["ALL"]}}, "it adds ALL."),
        ({"capabilities": {"drops": ["CHOWN"]}}, "it keeps the engine's default capabilities"),
        ({"capabilities": None}, "it keeps the engine's default capabilities"),
    ],
    "container-root": [
        ({"readOnly": False}, "its root is writable"),
        ({"readOnly": None}, "its"),
    ],
    "container-namespaces": [
        ({"networkMode": "host"}, "its networkMode is host"),
        ({"networkMode": "container:abc"}, "its networkMode is container:abc"),
        ({"pidMode": "host"}, "its pidMode is host"),
        ({"ipcMode": "host"}, "its ipcMode is host"),
        ({"usernsMode": "host"}, "its usernsMode is host"),
    ],
    "container-engine-socket": [
        (
            {"mounts": [{**BIND, "source": "/var/run/docker.sock"}]},
            "it mounts /var/run/docker.sock",
        ),
        ({"mounts": [{**BIND, "source": "/run/podman/podman.sock"}]}, "it mounts /run/podman"),
        ({"mounts": [{**BIND, "source": "/var/run"}]}, "it mounts /var/run,"),
        ({"mounts": [{**BIND, "source": "/"}]}, "it mounts /,"),
        ({"volumes": [{"hostPath": "/run/docker.sock"}]}, "it mounts /run/docker.sock"),
        ({"volumes": [{"hostPath": "/run/"}]}, "it mounts /run/,"),
    ],
    "container-limits": [
        ({"memory": None}, "it has no memory limit"),
        ({"memory": 0}, "it has no memory limit"),
        ({"healthcheck": None}, "it has no health check"),
        ({"healthcheck": {"tests": ["NONE"]}}, "it has no health check"),
    ],
    "container-environment": [
        ({"envs": ["DB_PASSWORD=x"]}, "its variable DB_PASSWORD contains a secret"),
        ({"envs": ["API_TOKEN=x"]}, "its variable API_TOKEN contains a secret"),
        ({"envs": ["HMAC_KEY=c2VjcmV0"]}, "its variable HMAC_KEY contains a secret"),
        ({"envs": ["clientSecret=x"]}, "its variable clientSecret contains a secret"),
        ({"envs": ["A=-----BEGIN EC PRIVATE KEY-----"]}, "its variable A contains a secret"),
        ({"envs": ["HOOK=https://user:pass@hook.example/"]}, "its variable HOOK contains a secret"),
    ],
    "images-pinned": [
        ({"image": "debian:trixie-slim"}, "debian:trixie-slim is not pinned"),
        ({"image": "debian@sha256:abcd"}, "debian@sha256:abcd is not pinned"),
    ],
}
CASES = [
    (policy, change, reported) for policy, cases in FAULTS.items() for change, reported in cases
]


@pytest.mark.parametrize("policy", FAULTS)
def test_a_hardened_container_passes(policy: str) -> None:
    assert check_resource(policy, (CONTAINER, GOOD)) == []


@pytest.mark.parametrize(("policy", "change", "reported"), CASES)
def test_a_fault_is_reported_by_its_own_rule_alone(
    policy: str, change: dict[str, Any], reported: str
) -> None:
    props = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    found = {name: check_resource(name, (CONTAINER, props)) for name in FAULTS}
    assert found.pop(policy)[0].startswith(reported)
    assert not any(found.values())


def test_a_secret_is_named_and_not_shown() -> None:
    (reported,) = check_resource(
        "container-environment", (CONTAINER, {"envs": ["PASSWORD=hunter2"]})
    )
    assert "hunter2" not in reported


def test_capabilities_are_configurable() -> None:
    props = {"capabilities": {"drops": ["ALL"], "adds": ["CAP_SYS_PTRACE"]}}
    assert (
        check_resource("container-capabilities", (CONTAINER, props), {"allowed": ["SYS_PTRACE"]})
        == []
    )
    (reported,) = check_resource(
        "container-capabilities", (CONTAINER, GOOD), {"allowed": ["CHOWN"]}
    )
    assert reported == "it adds SETUID. Allowed: CHOWN"


@pytest.mark.parametrize(("added", "count"), [([], 0), (["DAC_OVERRIDE"], 0), (["SYS_ADMIN"], 1)])
def test_a_job_adds_no_other_capability(added: list[str], count: int) -> None:
    assert len(check_resource("container-capabilities", (JOB, {"capabilities": added}))) == count


@pytest.mark.parametrize(
    ("image", "reported"),
    [
        ({"name": f"debian@{DIGEST}"}, []),
        ({"name": "debian"}, ["debian is not pinned"]),
        ({"name": "a:1", "build": {"buildArgs": {"BASE_IMAGE": f"debian:13@{DIGEST}"}}}, []),
        (
            {"name": "a:1", "build": {"buildArgs": {"BASE_IMAGE": "debian:13", "X": "y"}}},
            ["debian:13 is not pinned"],
        ),
    ],
)
def test_images(image: dict[str, Any], reported: list[str]) -> None:
    assert [
        line.partition(". ")[0] for line in check_resource("images-pinned", (IMAGE, image))
    ] == reported


def test_an_image_that_is_still_to_be_built_leaves_the_rule_to_its_own_resource() -> None:
    assert check_resource("images-pinned", (CONTAINER, {"image": UNKNOWN_STRING_VALUE})) == []


def test_an_unknown_value_makes_only_the_rule_that_reads_it_unsure() -> None:
    props = {**GOOD, "envs": [UNKNOWN_STRING_VALUE]}
    with pytest.raises(UnknownValueError):
        check_resource("container-environment", (CONTAINER, props))
    assert [
        check_resource(name, (CONTAINER, props))
        for name in FAULTS
        if name != "container-environment"
    ]
