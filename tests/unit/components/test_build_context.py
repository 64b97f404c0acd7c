"""Where images are built from: the checkout itself, or a copy in the project of another program."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.components.stack_config import root as certificate
from tlsgate_pulumi import build_context
from tlsgate_pulumi.build_context import build_digest, prepare
from tlsgate_pulumi.engine import DeploymentError
from tlsgate_pulumi.inputs import IMAGES

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def no_build_ca(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TLSGATE_BUILD_CA", raising=False)


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mode & 0o777)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_stacks_of_this_repository_build_from_the_repository(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(build_context, "STARTED_IN", ROOT)
    assert prepare("never", None).folder == "."
    assert not Path("never").exists()
    assert prepare("never", "images/own.crt").extra_ca == "images/own.crt"


@pytest.mark.parametrize("role", IMAGES)
def test_a_copy_gives_the_same_image(project: Path, role: str) -> None:
    context = prepare(".tlsgate", None)
    assert context.folder == ".tlsgate"
    assert context.digest(role) == build_digest(ROOT, role)


def test_a_copy_contains_only_the_needed_files_with_fixed_modes(project: Path) -> None:
    prepare(".tlsgate", None)
    found = content(project / ".tlsgate")
    assert {mode for _, mode in found.values()} == {0o644, 0o755}
    assert found["images/postfix/start"][1] == 0o755
    assert found["images/postfix/Dockerfile"][1] == 0o644
    assert {name.partition("/")[0] for name in found} == {".gitignore", "images", "tlsgate"}
    assert not [name for name in found if "__pycache__" in name]
    assert "images/extra-ca.crt" not in found


def test_a_copy_is_written_once_and_follows_what_is_installed(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(".tlsgate", None)
    before = content(project / ".tlsgate")
    (project / ".tlsgate/tlsgate/old.py").write_text("old\n")
    (project / ".tlsgate/images/postfix/start").write_text("changed\n")
    watchdog = project / ".tlsgate/images/watchdog"
    made = watchdog.stat().st_mtime_ns
    prepare(".tlsgate", None)
    assert content(project / ".tlsgate") == before
    assert watchdog.stat().st_mtime_ns == made


def test_git_ignores_a_copy(project: Path) -> None:
    prepare(".tlsgate", None)
    assert "*" in (project / ".tlsgate/.gitignore").read_text().splitlines()


def test_a_bundle_from_any_folder_is_copied(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "proxy.pem").write_text(certificate("proxy"))
    monkeypatch.setenv("TLSGATE_BUILD_CA", str(project / "proxy.pem"))
    context = prepare(".tlsgate", None)
    assert context.extra_ca == "images/extra-ca.crt"
    assert (project / ".tlsgate" / context.extra_ca).read_text() == certificate("proxy")
    assert build_context.is_usable("/anywhere/proxy.pem")


def test_a_bundle_that_cannot_be_read_is_reported(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DeploymentError, match=r"^images.build_ca_file: missing\.pem: No such file"):
        prepare(".tlsgate", "missing.pem")
    monkeypatch.setenv("TLSGATE_BUILD_CA", "images/extra-ca.crt")
    with pytest.raises(DeploymentError, match=r"^TLSGATE_BUILD_CA: images/extra-ca\.crt: No such"):
        prepare(".tlsgate", None)


def test_a_folder_with_other_content_is_not_changed(project: Path) -> None:
    (project / "images").mkdir()
    (project / "images/mine").write_text("mine\n")
    with pytest.raises(DeploymentError, match="was not written by tlsgate and is not empty"):
        prepare(".", None)
    assert (project / "images/mine").read_text() == "mine\n"


@pytest.mark.parametrize(
    ("started_in", "known"), [("", True), ("src", True), ("../elsewhere", True), ("", False)]
)
def test_a_program_that_changes_its_folder_builds_where_the_plugin_looks(
    project: Path, monkeypatch: pytest.MonkeyPatch, started_in: str, known: bool
) -> None:
    root, elsewhere = project / "root", project / "elsewhere"
    for folder in (root / "src", elsewhere):
        folder.mkdir(parents=True)
    monkeypatch.setattr("pulumi.get_root_directory", lambda: str(root) if known else None)
    monkeypatch.setattr(build_context, "STARTED_IN", (root / started_in).resolve())
    monkeypatch.chdir(elsewhere)
    context = prepare(".tlsgate", None)
    # With `main: src`, Pulumi starts the plugin there too; the third imported after os.chdir.
    expected = root / "src" if started_in == "src" else root
    assert context.folder == ".tlsgate"
    assert (expected / ".tlsgate/images/agent/Dockerfile").is_file()
    assert not (elsewhere / ".tlsgate").exists()
    assert context.digest("agent") == build_digest(ROOT, "agent")


def test_a_stack_of_this_repository_stays_one_when_it_changes_its_folder(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_context, "STARTED_IN", ROOT)
    assert prepare("never", None).folder == "."
    assert build_context.is_usable("images/own.crt")
    assert not build_context.is_usable("own.crt")
