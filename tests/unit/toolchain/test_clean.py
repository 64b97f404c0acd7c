"""`make clean` takes the lab, the demo and tests, never a real gateway's mail and keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.clean import CleanupReport, clean, clean_engine, clean_files, is_selected, other_stacks
from tests.unit.toolchain.setup_world import make_world
from tests.unit.toolchain.socket_engine import SocketEngine, serve_engine
from toolchain.engine_api import EngineApi


@pytest.mark.parametrize(
    ("labels", "selected"),
    [
        ({"tlsgate.lab": "lab"}, True),
        ({"tlsgate.dev": "docker-plugin"}, True),
        ({"tlsgate.stack": "demo"}, True),
        ({"tlsgate.stack": "test-4711"}, True),
        ({"tlsgate.stack": "prod"}, False),
        ({"tlsgate.stack": "prod", "tlsgate.dev": "x"}, False),
        ({"tlsgate.stack": "demonstration"}, False),
        ({"tlsgate.stack": ""}, False),
        ({"other": "demo"}, False),
        ({}, False),
    ],
)
def test_is_selected(labels: dict[str, str], selected: bool) -> None:
    assert is_selected(labels) is selected


def things(engine: SocketEngine) -> None:
    demo, prod = {"tlsgate.stack": "demo"}, {"tlsgate.stack": "prod"}
    engine.answers |= {
        "GET /containers/json": (
            200,
            [
                {"Id": "c1", "Names": ["/tlsgate-demo-gateway"], "Labels": demo},
                {"Id": "c2", "Names": ["/tlsgate-prod-gateway"], "Labels": prod},
            ],
        ),
        "GET /networks": (200, [{"Id": "n1", "Name": "tlsgate-demo", "Labels": demo}]),
        "GET /volumes": (
            200,
            {
                "Volumes": [
                    {"Name": "tlsgate-demo-spool", "Labels": demo},
                    {"Name": "tlsgate-prod-spool", "Labels": prod},
                ]
            },
        ),
        "DELETE /containers/c1": (204, None),
        "DELETE /networks/n1": (204, None),
        "DELETE /volumes/tlsgate-demo-spool": (204, None),
    }


def removals(engine: SocketEngine) -> list[str]:
    return [line for line in engine.asked if line.startswith("DELETE")]


def test_the_engine_is_cleaned_by_label_and_id(tmp_path: Path) -> None:
    report = CleanupReport()
    with serve_engine(tmp_path) as engine:
        things(engine)
        others = clean_engine(EngineApi(engine.address), report, dry_run=False)
    assert others == ["tlsgate-prod-gateway"]
    assert removals(engine) == [
        "DELETE /containers/c1?force=true&v=true",
        "DELETE /networks/n1",
        "DELETE /volumes/tlsgate-demo-spool",
    ]
    assert report.removed == [
        "container tlsgate-demo-gateway",
        "network tlsgate-demo",
        "volume tlsgate-demo-spool",
    ]


def test_a_dry_run_removes_nothing(tmp_path: Path) -> None:
    report = CleanupReport()
    with serve_engine(tmp_path) as engine:
        things(engine)
        clean_engine(EngineApi(engine.address), report, dry_run=True)
    assert removals(engine) == []
    assert len(report.removed) == 3


def test_what_is_gone_already_is_no_error_and_what_stays_is_named(tmp_path: Path) -> None:
    report = CleanupReport()
    with serve_engine(tmp_path) as engine:
        things(engine)
        engine.answers["DELETE /containers/c1"] = (404, {"message": "No such container"})
        engine.answers["DELETE /networks/n1"] = (403, {"message": "has active endpoints"})
        clean_engine(EngineApi(engine.address), report, dry_run=False)
    assert report.failed == ["network tlsgate-demo: has active endpoints"]


def clone(root: Path, *stacks: str) -> Path:
    for stack in ("tlsgate/demo.json", "tlsgate-lab/lab.json", "tlsgate/test1.json.bak", *stacks):
        file = root / ".state/backend/.pulumi/stacks" / stack
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    for name in (".state/env.sh", "lab/.state/pki/ca.pem", "lab/endpoints.json", "README.md"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / "images").mkdir(exist_ok=True)
    return root


def test_the_clones_state_goes(tmp_path: Path) -> None:
    report = CleanupReport()
    clean_files(clone(tmp_path), report, dry_run=False)
    assert report.removed == [".state", "lab/.state", "lab/endpoints.json"]
    assert report.kept == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "images", "lab"]


def test_the_state_of_other_stacks_stays(tmp_path: Path) -> None:
    report = CleanupReport()
    root = clone(tmp_path, "tlsgate/prod.json", "tlsgate/prod.json.bak")
    assert other_stacks(root / ".state/backend") == ["tlsgate/prod"]
    clean_files(root, report, dry_run=False)
    assert report.kept == [".state/backend: it holds the stacks tlsgate/prod"]
    assert (root / ".state/backend/.pulumi/stacks/tlsgate/prod.json").exists()
    assert not (root / ".state/env.sh").exists()


def test_without_an_engine_the_files_go_and_the_rest_is_named(tmp_path: Path) -> None:
    address = "unix:///nowhere/docker.sock"
    world = make_world(tmp_path, environment={"DOCKER_HOST": address})
    clone(world.context.repository)
    report = clean(world.context, dry_run=False)
    assert report.removed == [".state", "lab/.state", "lab/endpoints.json"]
    assert address in report.kept[0]
    assert report.failed == []


def test_what_failed_keeps_the_state(tmp_path: Path) -> None:
    with serve_engine(tmp_path) as engine:
        things(engine)
        engine.answers["DELETE /networks/n1"] = (403, {"message": "has active endpoints"})
        world = make_world(tmp_path, environment={"DOCKER_HOST": engine.address})
        clone(world.context.repository)
        report = clean(world.context, dry_run=False)
    assert report.failed != []
    assert (world.context.state / "env.sh").exists()
