"""What set-up writes and says: env.sh, the CA bundle, the summary, all problems at once."""

from __future__ import annotations

import io
import subprocess
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from tests.unit.toolchain.setup_world import make_world
from toolchain import ca_bundle, run
from toolchain.cli import summary
from toolchain.commands import run_logged
from toolchain.engine_api import DEFAULT_ADDRESS
from toolchain.env_file import Settings, env_sh, variables, write_env_file
from toolchain.errors import SetupError
from toolchain.progress import Done, Line, Progress
from toolchain.pulumi_cli import Cli, Source
from toolchain.run import Report
from toolchain.versions import PULUMI_MINIMUM

SETTINGS = Settings(
    repository=Path("/srv/my clone"),
    folders=(Path("/srv/my clone/.venv/bin"), Path("/cache/pulumi")),
    engine=DEFAULT_ADDRESS,
    base_image="debian:trixie-slim",
    pebble=Path("/cache/pebble"),
    stand_in=False,
    build_ca=None,
)
ACQUISITION = "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"


def test_variables_of_an_ordinary_machine() -> None:
    assert variables(SETTINGS) == {
        "PULUMI_HOME": "/srv/my clone/.state/pulumi-home",
        "PULUMI_BACKEND_URL": "file:///srv/my clone/.state/backend",
        "PULUMI_CONFIG_PASSPHRASE": "",
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "TLSGATE_BASE_IMAGE": "debian:trixie-slim",
        "TLSGATE_PEBBLE": "/cache/pebble",
    }


@pytest.mark.parametrize(
    ("change", "added"),
    [
        ({"stand_in": True}, {ACQUISITION: "true"}),
        ({"engine": "unix:///run/other.sock"}, {"DOCKER_HOST": "unix:///run/other.sock"}),
        ({"build_ca": ca_bundle.COPY}, {"TLSGATE_BUILD_CA": "images/extra-ca.crt"}),
    ],
)
def test_variables_of_other_machines(change: dict[str, object], added: dict[str, str]) -> None:
    settings = replace(SETTINGS, **change)  # type: ignore[arg-type]
    assert variables(settings) == {**variables(SETTINGS), **added}


def test_a_shell_reads_what_was_meant() -> None:
    text = env_sh("/first dir:/second", {"A": "it's $HOME", "EMPTY": ""})
    script = f'{text}printf "%s|" "$PATH" "$A" "$EMPTY"'
    read = subprocess.run(
        ["/bin/sh", "-euc", script],
        env={"PATH": "/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert read.stdout == "/first dir:/second:/bin|it's $HOME||"


def test_env_file(tmp_path: Path) -> None:
    context = make_world(tmp_path).context
    file = write_env_file(context, replace(SETTINGS, repository=context.repository))
    assert file.read_text().splitlines()[1].startswith("export PATH='/srv/my clone/.venv/bin:")
    assert (context.state / "backend").is_dir()  # Pulumi does not make a file backend's folder


# ------------------------------------------------------------------------------- the CA bundle


def test_the_named_bundle_is_copied_and_later_taken_away(tmp_path: Path) -> None:
    bundle = tmp_path / "roots.pem"
    bundle.write_text("roots")
    world = make_world(tmp_path, environment={"PIP_CERT": "", "SSL_CERT_FILE": str(bundle)})
    copy = world.context.repository / ca_bundle.COPY
    assert ca_bundle.ca_bundle(world.context) == (
        ca_bundle.COPY,
        Done("CA bundle for image builds", f"SSL_CERT_FILE={bundle}", changed=True),
    )
    assert copy.read_text() == "roots"
    assert not ca_bundle.ca_bundle(world.context)[1].changed
    without = make_world(tmp_path).context
    assert ca_bundle.ca_bundle(without)[0] is None
    assert not copy.exists()


def test_a_bundle_that_is_missing_or_a_folder_is_none(tmp_path: Path) -> None:
    environment = {"PIP_CERT": "/nowhere.pem", "SSL_CERT_FILE": str(tmp_path)}
    assert ca_bundle.named_bundle(environment) is None


# ------------------------------------------------------------------------------------ the whole


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    done = Done("thing 1", "here")
    cli = Cli(PULUMI_MINIMUM, Source.BUILT, tmp_path / "pulumi")
    uv = tmp_path / "cache/uv-0/uv"
    monkeypatch.setattr(run, "python_environment", lambda context: (uv, done))
    monkeypatch.setattr(run, "engine", lambda context: (DEFAULT_ADDRESS, done))
    monkeypatch.setattr(run, "base_image", lambda context, address: ("debian:x", done))
    monkeypatch.setattr(run, "pebble", lambda context: done)
    monkeypatch.setattr(run, "provide_cli", lambda context: (cli, done))
    monkeypatch.setattr(run, "docker_plugin", lambda context, cli: (True, done))
    return monkeypatch


def fail(*_: object) -> Done:
    raise SetupError("it is missing", "install it", ("| last words",))


def test_all_is_there(steps: pytest.MonkeyPatch, tmp_path: Path) -> None:
    world = make_world(tmp_path)
    report = run.set_up(world.context)
    assert report.ok
    assert report.env_file is not None
    assert [line.status for line in report.lines] == ["ok"] * 7
    path = report.env_file.read_text().splitlines()[1]
    clone, cache = world.context.repository, world.context.cache.root
    pulumi = tmp_path / "pulumi"
    wanted = f"{clone}/.venv/bin:{clone}/.state/bin:{pulumi}:{cache}/uv-0:{cache}/pebble-2.10.1"
    assert path == f'export PATH={wanted}:"$PATH"'
    assert "make demo" in summary(report, cache)


def test_all_problems_are_reported_and_no_env_file_is_written(
    steps: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    steps.setattr(run, "engine", fail)
    steps.setattr(run, "provide_cli", fail)
    world = make_world(tmp_path)
    report = run.set_up(world.context)
    assert [(line.name, line.status) for line in report.lines] == [
        ("Python environment", "ok"),
        ("Docker engine", "failed"),
        ("base image", "skipped"),
        ("Pebble", "ok"),
        ("Pulumi CLI", "failed"),
        ("Docker plugin", "skipped"),
        ("CA bundle", "ok"),
    ]
    assert len(report.problems) == 2
    assert world.said.getvalue().count("        | last words\n") == 2
    assert report.env_file is None
    assert summary(report, tmp_path).count("-> install it") == 2
    assert "make demo" not in summary(report, tmp_path)


def test_quiet_says_only_what_changed(steps: pytest.MonkeyPatch, tmp_path: Path) -> None:
    steps.setattr(run, "pebble", lambda context: Done("Pebble 2", "built", changed=True))
    world = make_world(tmp_path)
    run.set_up(world.context, quiet=True)
    assert world.said.getvalue().startswith("ok      Pebble 2 (built, ")
    assert world.said.getvalue().count("\n") == 1


def test_a_line_is_json() -> None:
    line = Line("Pebble", "ok", 1.23456, "Pebble 2", "built", changed=True, notes=("n",))
    assert line.as_dict() == {
        "name": "Pebble", "status": "ok", "seconds": 1.23, "what": "Pebble 2", "source": "built",
        "changed": True, "notes": ["n"],
    }  # fmt: skip


def test_the_summary_fits_a_screen() -> None:
    lines = [Line(f"step {n}", "failed", 0, f"step {n}", "source") for n in range(7)]
    report = Report(lines, [SetupError("problem", "remedy", ("its", "log"))] * 6)
    assert len(summary(report, Path("/cache")).splitlines()) <= 24


def test_long_commands_give_signs_of_life() -> None:
    class Heard(io.StringIO):
        beats = Event()

        def write(self, text: str) -> int:
            if text.endswith("so far\n"):
                self.beats.set()
            return super().write(text)

    stream = Heard()
    progress = Progress(stream, heartbeat=0.01)
    progress.doing("building")
    with progress.alive():
        assert stream.beats.wait(10)
    assert "...     building: 0 s so far\n" in stream.getvalue()


def test_a_failing_command_is_shown_with_the_end_of_its_log(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    with pytest.raises(SetupError, match="ended with 3") as refused:
        run_logged(
            ["/bin/sh", "-c", "echo first; echo last words >&2; exit 3"],
            log=tmp_path / "log/step.log",
            progress=world.context.progress,
            environment={},
            remedy="fix it",
        )
    assert refused.value.problem == "`sh -c …` ended with 3"
    assert refused.value.details == (
        f"{tmp_path}/log/step.log ends with",
        "| first",
        "| last words",
    )


def test_a_command_that_is_missing_is_named(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    with pytest.raises(SetupError, match="/nowhere/tool cannot be started"):
        run_logged(
            ["/nowhere/tool"],
            log=tmp_path / "log",
            progress=world.context.progress,
            environment={},
            remedy="",
        )
