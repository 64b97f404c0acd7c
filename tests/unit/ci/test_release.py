"""A release is of the tagged version, with the changelog's words; only its last jobs may write."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ci import release
from ci.release import ReleaseError
from tests.unit.ci.workflow_files import ROOT, workflow

CHANGELOG = """\
# Changelog

## Unreleased

- Not yet.

## 1.2.0 - 2026-12-01

### Added

- Something.

## 1.1.0

- No day.

## 1.0.0 - 2026-01-01
"""
WORKFLOW = workflow(ROOT / ".github/workflows/release.yml")


def test_the_tag_names_the_version() -> None:
    release.check_tag("v1.2.0", "1.2.0")
    for tag in ("v1.2.1", "1.2.0", "v1.2.0rc1"):
        with pytest.raises(ReleaseError, match=r"pyproject\.toml says version 1\.2\.0: set the"):
            release.check_tag(tag, "1.2.0")


def test_the_notes_are_the_version_s_section() -> None:
    for rehearsal in (False, True):
        text = release.notes(CHANGELOG, "1.2.0", rehearsal=rehearsal)
        assert text == "### Added\n\n- Something.\n"


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("2.0.0", "no section `## 2.0.0 - YYYY-MM-DD`: write it"),
        ("1.1.0", "1.1.0 has no day"),
        ("1.0.0", "1.0.0 is empty"),
    ],
)
def test_a_release_needs_a_section_with_a_day_and_words(version: str, told: str) -> None:
    with pytest.raises(ReleaseError, match=told):
        release.notes(CHANGELOG, version, rehearsal=False)


def test_a_rehearsal_takes_what_is_unreleased() -> None:
    assert release.notes(CHANGELOG, "2.0.0", rehearsal=True) == "- Not yet.\n"


def test_our_changelog_can_be_rehearsed() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert release.notes(text, "999.0.0", rehearsal=True)


def test_the_wheel_says_its_version(tmp_path: Path) -> None:
    wheel = tmp_path / "x-1.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(
            "x-1.dist-info/METADATA", "Metadata-Version: 2.5\nVersion: 1.2.0\n\nText\n"
        )
        archive.writestr("x/METADATA", "Version: 7\n")
    assert release.wheel_version(wheel) == "1.2.0"


def sbom(**changes: Any) -> str:
    return json.dumps(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "version": 1,
            "metadata": {"component": {"type": "library", "name": "tlsgate", "version": "1.2.0"}},
            "components": [{"type": "library", "name": "acme", "version": "5.9.0"}],
            **changes,
        }
    )


def test_the_bill_of_materials_is_checked_by_its_schema_and_its_subject() -> None:
    assert release.check_sbom(sbom(), "1.2.0") == 1
    with pytest.raises(ReleaseError, match=r"does not match CycloneDX 1\.5: .*unexpected"):
        release.check_sbom(
            sbom(components=[{"type": "library", "name": "x", "purlx": ""}]), "1.2.0"
        )
    with pytest.raises(ReleaseError, match=r"is of tlsgate 1\.2\.0"):
        release.check_sbom(sbom(), "1.3.0")


def test_only_an_earlier_release_is_deleted(tmp_path: Path) -> None:
    folder = tmp_path / "release"
    release.empty(folder)
    for name in ("a-1.whl", "a-1.tar.gz", "tlsgate-1.cdx.json", "SHA256SUMS", "release-notes.md"):
        (folder / name).touch()
    release.empty(folder)
    assert list(folder.iterdir()) == []
    (folder / "Makefile").touch()
    with pytest.raises(ReleaseError, match="holds other files"):
        release.empty(folder)
    assert (folder / "Makefile").exists()


def test_checksums_are_those_of_what_is_published(tmp_path: Path) -> None:
    (tmp_path / "b.whl").write_bytes(b"")
    (tmp_path / "a.tar.gz").write_bytes(b"x")
    (tmp_path / "release-notes.md").touch()
    assert [line.split() for line in release.checksums(tmp_path).splitlines()] == [
        ["2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881", "a.tar.gz"],
        ["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "b.whl"],
    ]


def test_without_uv_it_says_so_and_leaves_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a-1.whl").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert release.main([str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("release: uv is not on PATH: run `make setup`")
    assert (tmp_path / "a-1.whl").exists()


def test_each_job_has_only_the_rights_that_it_needs() -> None:
    assert WORKFLOW["on"] == {"push": {"tags": ["v*"]}}
    assert WORKFLOW["permissions"] in ({}, "{}")
    assert {name: job["permissions"] for name, job in WORKFLOW["jobs"].items()} == {
        "checks": {"contents": "read"},
        "build": {"contents": "read"},
        "attest": {"id-token": "write", "attestations": "write"},
        "pypi": {"id-token": "write"},
        "github": {"contents": "write"},
    }


def test_nothing_is_published_before_every_check_has_passed() -> None:
    needs = {name: job.get("needs", []) for name, job in WORKFLOW["jobs"].items()}
    assert needs == {
        "checks": [],
        "build": "checks",
        "attest": "build",
        "pypi": "attest",
        "github": ["attest", "pypi"],
    }


def test_a_job_that_may_write_runs_no_code_of_the_project_and_takes_no_cache() -> None:
    for name, job in WORKFLOW["jobs"].items():
        used = [step["uses"].partition("@")[0] for step in job.get("steps", []) if "uses" in step]
        assert "actions/cache" not in used
        if "write" in job["permissions"].values():
            assert "actions/checkout" not in used, name
