"""`__main__.py` as Pulumi runs it: wrong input declares nothing, right input everything."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import get_root_resource
from pulumi.runtime.config import CONFIG, set_all_config
from pulumi.runtime.stack import Stack as RootStack

from tests.unit.components.program import Program, RecordingMonitor, config_in, run
from tests.unit.components.stack_config import as_pulumi_gives, changed, write_project
from tests.unit.partners.partner_files import record

MAIN = str(Path("__main__.py").absolute())
PARTNERS = ("  tlsgate:domains:", "  tlsgate:partners: {folder}/partners\n  tlsgate:domains:")


@pytest.fixture(autouse=True)
def own_config() -> Iterator[None]:
    """The config of one run is not that of the next test."""
    token = CONFIG.set({})
    yield
    CONFIG.reset(token)


@pytest.fixture(autouse=True)
def docker_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unit tests need no engine."""
    monkeypatch.setattr("tlsgate_pulumi.inputs.require_engine", lambda _at: None)


def main(config: str, engine: RecordingMonitor) -> Program:
    """Run the program; raises what it raises."""

    def declare() -> dict[str, Any]:
        set_all_config(as_pulumi_gives(config))
        runpy.run_path(MAIN)
        root = get_root_resource()
        assert isinstance(root, RootStack)
        return root.outputs

    return run(declare, engine)


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A right config and partner list, readable from the repository's root."""
    text = config_in(tmp_path, (PARTNERS[0], PARTNERS[1].format(folder=tmp_path)))
    (tmp_path / "partners" / "acme.yaml").write_text(record())
    return text.replace('  tlsgate:relayhost: "[out.corp.example]:587"\n', "")


def test_the_whole_gateway_is_declared(config: str) -> None:
    program = main(config, RecordingMonitor())
    assert program.outputs["hosts"] == ["mx1.corp.example"]
    assert program.outputs["partners"]["count"] == 1
    maps = program.of_type("Delivery")["partner-list"].inputs["files"]
    assert maps["partner_policy"].endswith(
        "\nacme.example\tsecure match=acme.example:.acme.example\n"
    )


def test_a_preview_declares_the_same_though_it_knows_less(config: str) -> None:
    previewed, made = (
        {one.urn: sorted(one.inputs) for one in main(config, engine).registered}
        for engine in (RecordingMonitor(preview=True), RecordingMonitor())
    )
    assert previewed == made


def test_all_wrong_input_is_reported_before_anything_is_declared(project: Path) -> None:
    config = changed(("    maxAge: 86400\n", "    max_age: 86400\n"))
    write_project(project, config, acme="name: A\n\tcontact: b\n")
    engine = RecordingMonitor()
    with pytest.raises(pulumi.RunError) as refused:
        main(config, engine)
    assert engine.registered == []
    assert str(refused.value).splitlines() == [
        "Pulumi.test.yaml:25: tlsgate:mtaSts.max_age: is not a setting. Did you mean maxAge? "
        "[unknown-key]",
        "partners/acme.yaml:2: is indented with a tab. Indent with spaces. [tab]",
        "2 problems.",
    ]
