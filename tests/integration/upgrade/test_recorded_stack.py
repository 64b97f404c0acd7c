"""An upgrade keeps the resources of a stack that an earlier version deployed.

Docker can only change the limits of a running container. So `up` replaces a container if its image
or the files that it reads at its start change. Nothing else in an upgrade may replace a container,
and nothing may replace a volume.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.dns.knot_server import Knot
from tests.integration.upgrade.recorded_stack import (
    CONTAINER,
    RECORDED,
    VOLUME,
    State,
    as_built_by,
    as_upgraded,
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


RENAMED = """
import pulumi
from tlsgate_pulumi import MailGateway, read_inputs

old = pulumi.Alias(name="gateway")
MailGateway("mail", read_inputs(), pulumi.ResourceOptions(aliases=[old]))
"""


@pytest.mark.parametrize("change", [as_upgraded, lambda state: state], ids=["today's", "recorded"])
def test_a_gateway_renamed_by_aliases_keeps_every_resource(
    tmp_path: Path, knot: Knot, change: Callable[[State], State]
) -> None:
    """Also the parts of its parts, which are not called after the component just above them."""
    stack = open_stack(tmp_path, knot)
    state = change(recorded_state(knot))
    stack.load(state)
    (stack.directory / "__main__.py").unlink()
    (stack.directory / "__main__.py").write_text(RENAMED)
    steps = stack.preview()
    renamed = [step for step in steps if "::mail" in step.urn]
    assert len(renamed) > 30
    assert [step.urn for step in steps if step.before is None or step.op == "delete"] == []


def test_the_first_up_after_an_upgrade_asks_about_a_list_that_weakens(
    tmp_path: Path, knot: Knot
) -> None:
    stack = open_stack(tmp_path, knot)
    stack.load(recorded_state(knot))
    partners = stack.directory / "lab/partners"
    partners.unlink()
    shutil.copytree(RECORDED / "partners", partners)
    for name in ("dane", "good", "sts"):
        (partners / f"{name}.yaml").unlink()
    assert "this change removes or weakens 3 of 17 partners" in stack.refused("preview")


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
