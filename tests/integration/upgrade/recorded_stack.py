"""The demo's stack as an earlier version deployed it, in a project of its own below tmp_path.

`recorded/` contains the output of `pulumi stack export` at that time (without the places in the
source that made each resource), the stack's config and its partners. The rest of its inputs is in
the state. What differs between machines is set when it is loaded: the name server, keys, and the
sources of the images. No container of the stack exists, and none is created: the tests only use
`preview`.

To record another state: deploy the demo, `pulumi stack export --stack demo`, and remove
`secrets_providers` and every resource's `stackTrace` and `sourcePosition`. It must not hold a
secret.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.dns.knot_server import Knot, key_text
from tests.integration.docker_plugin.plugin_project import environment

REPOSITORY = Path(__file__).parents[3]
RECORDED = Path(__file__).parent / "recorded"
STACK = "demo"
IMAGE = "docker:index/remoteImage:RemoteImage"
CONTAINER = "docker:index/container:Container"
VOLUME = "docker:index/volume:Volume"
VOLUME_FILES = "pulumi-python:dynamic/tlsgate:VolumeFiles"
DNS_RECORDS = "pulumi-python:dynamic/tlsgate:DnsRecords"

State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """What a preview would do with one resource. `before`: its URN in the state, None if new."""

    op: str
    urn: str
    before: str | None
    type: str
    inputs: Mapping[str, Any]
    differences: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RecordedStack:
    """The project's folder, and the environment in which Pulumi runs there."""

    directory: Path
    environment: Mapping[str, str]
    knot: Knot

    def pulumi(self, *arguments: str, stdin: str | None = None) -> str:
        """Run the CLI on the stack, which must succeed, and return its output."""
        done = self._run(*arguments, stdin=stdin)
        assert done.returncode == 0, _diagnostics(done.stdout) + done.stderr
        return done.stdout

    def refused(self, *arguments: str) -> str:
        """Run the CLI on the stack, which must fail, and return its output."""
        done = self._run(*arguments)
        assert done.returncode != 0, done.stdout
        return done.stdout + done.stderr

    def _run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["pulumi", *arguments, "--stack", STACK, "--non-interactive"],
            cwd=self.directory,
            env=dict(self.environment),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    def load(self, state: State) -> None:
        """Make this the stack's state."""
        self.pulumi("stack", "import", stdin=json.dumps(state))

    def preview(self) -> list[Step]:
        """Return what `pulumi up` would do, according to the state only."""
        said = json.loads(self.pulumi("preview", "--json", "--diff", "--show-sames"))
        return [_step(step) for step in said["steps"]]


def _diagnostics(said: str) -> str:
    try:
        return "\n".join(one["message"] for one in json.loads(said)["diagnostics"])
    except ValueError:
        return said


def _step(step: Mapping[str, Any]) -> Step:
    old, new = step.get("oldState"), step.get("newState")
    return Step(
        op=step["op"],
        urn=step["urn"],
        before=old["urn"] if old else None,
        type=(new or old or {})["type"],
        inputs=(new or {}).get("inputs", {}),
        differences=step.get("detailedDiff") or {},
    )


def recorded_state(knot: Knot) -> State:
    """Return the recorded state, with this name server in the place of the recorded lab's."""
    state: State = json.loads((RECORDED / "state.json").read_text())
    for resource in state["deployment"]["resources"]:
        if resource["type"] == DNS_RECORDS:
            for part in ("inputs", "outputs"):
                resource[part] |= {"server": knot.address, "port": 53}
    return state


def as_upgraded(state: State) -> State:
    """Return the state with the names that the gateway's parts have since they start with its."""
    resources = state["deployment"]["resources"]
    text = json.dumps(state)
    for urn in (one["urn"] for one in resources if not one["type"].startswith("pulumi:")):
        before, _, name = urn.rpartition("::")
        if name != "gateway" or CONTAINER in before:
            text = text.replace(f'{urn}"', f'{before}::gateway-{name}"')
    upgraded: State = json.loads(text)
    return upgraded


def as_built_by(steps: list[Step], state: State) -> State:
    """Return the state as if today's images and files had been deployed when it was recorded.

    Every release changes the images. A container is replaced if its image changes, or the files
    that it reads at its start. A test of the upgrade is not about these replacements.
    """
    made = {step.before: step.inputs for step in steps}
    text = json.dumps(state)
    for resource in state["deployment"]["resources"]:
        if resource["type"] == VOLUME_FILES:
            digest = made[resource["urn"]]["digest"]
            text = text.replace(resource["inputs"]["digest"], digest)
    built: State = json.loads(text)
    for resource in built["deployment"]["resources"]:
        if resource["type"] == IMAGE:
            resource["inputs"] = dict(made[resource["urn"]])
            resource["outputs"] |= made[resource["urn"]]
    return built


def open_stack(tmp_path: Path, knot: Knot) -> RecordedStack:
    """Lay out the project, with the inputs that were recorded, and an empty stack."""
    directory = tmp_path / "project"
    (directory / "lab/.state/pki").mkdir(parents=True)
    (directory / "lab/.state/dns").mkdir()
    (directory / "state").mkdir()
    for path in REPOSITORY.iterdir():
        # The program and what it reads; not the clone's own environment, stacks and lab.
        if path.name != "lab" and not path.name.startswith((".", "Pulumi.")):
            (directory / path.name).symlink_to(path)
    (directory / "lab/partners").symlink_to(RECORDED / "partners")
    for name, text in _inputs(recorded_state(knot)).items():
        (directory / "lab/.state" / name).write_text(text)
    for name, key in (("pulumi", knot.wide), ("agent", knot.narrow)):
        (directory / f"lab/.state/dns/{name}.key").write_text(key_text(key))
    project = (REPOSITORY / "Pulumi.yaml").read_text()
    # Otherwise Pulumi would update an environment in the project.
    project = re.sub(r"(?m)^runtime:\n(?:  .*\n)+", "runtime: python\n", project)
    (directory / "Pulumi.yaml").write_text(project)
    config = (RECORDED / "config.yaml").read_text()
    config = config.replace("127.0.0.1:2053", f"{knot.address}:53")
    (directory / f"Pulumi.{STACK}.yaml").write_text(config)
    stack = RecordedStack(directory, _environment(tmp_path), knot)
    stack.pulumi("stack", "init")
    return stack


def _environment(tmp_path: Path) -> dict[str, str]:
    # The real plugin would add values that the stand-in has not recorded.
    made = environment(tmp_path, is_stand_in=True)
    for name in ("TLSGATE_BUILD_CA", "PYTHONPATH", "VIRTUAL_ENV"):
        made.pop(name, None)
    return made


def _inputs(state: State) -> dict[str, str]:
    """Return the files that the recorded config names, by their path below lab/.state."""
    files: dict[str, str] = {}
    for resource in state["deployment"]["resources"]:
        if resource["type"] == VOLUME_FILES:
            files |= resource["inputs"]["files"]
    anchors = re.findall(r'^ *trust-anchor: "(.*)"$', files["unbound.conf"], re.M)
    return {
        "pki/pebble-ca.pem": files["acme-ca.pem"],
        "pki/public-roots.pem": files["extra-ca.pem"],
        "dns/trust-anchors": "".join(f"{anchor}\n" for anchor in anchors),
    }
