"""An upgrade keeps the resources of a stack that an earlier version deployed.

Docker can only change the limits of a running container. So `up` replaces a container if its image
or the files that it reads at its start change. Nothing else in an upgrade may replace a container,
and nothing may replace a volume.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.dns.knot_server import Knot
from tests.integration.upgrade.recorded_stack import (
    CONTAINER,
    VOLUME,
    as_built_by,
    open_stack,
    recorded_state,
)

pytestmark = pytest.mark.integration


def test_every_resource_is_kept(tmp_path: Path, knot: Knot) -> None:
    stack = open_stack(tmp_path, knot)
    recorded = recorded_state(knot)
    resources = recorded["deployment"]["resources"]
    assert sum(resource["type"] == CONTAINER for resource in resources) == 6
    assert sum(resource["type"] == VOLUME for resource in resources) == 11

    # As a user finds it, with images and files of the recorded version.
    stack.load(recorded)
    upgrade = stack.preview()
    for step in upgrade:
        assert step.before is not None, f"{step.urn} is created again"
        replaced = {name.partition("[")[0].partition(".")[0] for name in step.differences}
        if step.type == CONTAINER and step.op != "same":
            assert replaced <= {"image", "labels"}, step
        if step.type == VOLUME:
            assert step.op == "same", step
    # Pulumi reports no steps for its providers.
    told = {resource["urn"] for resource in resources if "pulumi:providers:" not in resource["urn"]}
    assert {step.before for step in upgrade} == told

    stack.load(as_built_by(upgrade, recorded))
    for step in stack.preview():
        # Deliveries, jobs and records may have other content: they are updated in place.
        allowed = {"same"} if step.type in (CONTAINER, VOLUME) else {"same", "update"}
        assert step.op in allowed, step


def test_a_resource_that_lost_its_name_is_noticed(tmp_path: Path, knot: Knot) -> None:
    """The test above can fail: a volume without an alias from its old name is created again."""
    stack = open_stack(tmp_path, knot)
    text = json.dumps(recorded_state(knot))
    stack.load(json.loads(text.replace(f'{VOLUME}::acme"', f'{VOLUME}::acme-before"')))
    changed = [step for step in stack.preview() if step.op in ("create", "delete")]
    assert {step.type for step in changed} == {VOLUME}
    assert sorted((step.op, step.inputs.get("name")) for step in changed) == [
        ("create", "tlsgate-demo-acme"),
        ("delete", None),
    ]
