"""Images: build arguments, the stream of a build, digests."""

from __future__ import annotations

from typing import Any

import pytest

from toolchain.offline.docker_plugin.image import build_arguments, build_failure, repo_digest


def test_build_arguments() -> None:
    arguments = build_arguments(
        "a:1",
        {"context": "c", "buildArgs": {"A": "1"}, "label": {"l": "1"}, "labels": {"m": "2"}},
    )
    assert arguments == {
        "path": "c",
        "dockerfile": "Dockerfile",
        "tag": "a:1",
        "buildargs": {"A": "1"},
        "labels": {"l": "1", "m": "2"},
        "target": "",
        "nocache": False,
        "pull": False,
        "rm": True,
        "forcerm": False,
        "network_mode": None,
    }


def test_a_failed_build_shows_the_end_of_its_log() -> None:
    messages: list[dict[str, Any]] = [{"stream": f"line {n}\n"} for n in range(50)]
    messages += [{"stream": "\n"}, {"error": "The command returned 1", "errorDetail": {}}]
    failure = build_failure("a:1", messages)
    assert failure is not None
    assert failure.startswith("Unable to build image a:1: The command returned 1\n")
    assert failure.endswith("  line 49")
    assert "line 19" not in failure


def test_a_build_that_worked_has_no_failure() -> None:
    assert build_failure("a:1", [{"stream": "Step 1\n"}, {"aux": {"ID": "x"}}]) is None


@pytest.mark.parametrize(
    ("digests", "expected"),
    [
        ([], "sha256:id"),
        (None, "sha256:id"),
        (["other/x@sha256:1", "debian@sha256:2"], "debian@sha256:2"),
        (["other/x@sha256:1"], "sha256:id"),
    ],
)
def test_repo_digest(digests: list[str] | None, expected: str) -> None:
    assert repo_digest("debian:13", {"Id": "sha256:id", "RepoDigests": digests}) == expected
