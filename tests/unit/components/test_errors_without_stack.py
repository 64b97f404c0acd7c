"""Errors in `pulumi up`: ours have no Python stack trace, and other packages' keep theirs."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from pulumi.dynamic import Config, ConfigureRequest

from tlsgate_pulumi.engine import DeploymentError
from tlsgate_pulumi.job import JobProvider

PROPS: dict[str, Any] = {"name": "tlsgate-test-issue", "command": ["issue"]}


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], str]:
    """What pulumi.dynamic prints of a call once our provider is loaded in its process."""
    monkeypatch.setattr(traceback, "format_exc", traceback.format_exc)
    JobProvider().configure(ConfigureRequest(Config({}, "test")))

    def of(call: Callable[[], object]) -> str:
        try:
            call()
        except Exception:
            return traceback.format_exc()
        return ""

    return of


def test_our_errors_are_shown_as_text_only(
    printed: Callable[[Callable[[], object]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_at: object) -> None:
        raise DeploymentError("no Docker engine answers")

    monkeypatch.setattr("tlsgate_pulumi.engine.connect", refused)
    printed_text = printed(lambda: JobProvider().create(PROPS))
    assert "  File " not in printed_text
    assert printed_text.endswith("DeploymentError: no Docker engine answers\n")


def test_an_error_of_a_library_that_we_use_shows_no_stack(
    printed: Callable[[Callable[[], object]], str],
) -> None:
    printed_text = printed(lambda: JobProvider().update("id", {}, {"engine": {"host": 5}}))
    assert printed_text
    assert "  File " not in printed_text


def test_another_programs_error_keeps_its_stack(
    printed: Callable[[Callable[[], object]], str],
) -> None:
    def theirs() -> None:
        raise ValueError("theirs")

    printed_text = printed(theirs)
    assert "  File " in printed_text
    assert "in theirs" in printed_text
    assert printed_text.endswith("ValueError: theirs\n")


def test_no_setting_of_the_process_is_changed(
    printed: Callable[[Callable[[], object]], str],
) -> None:
    del printed
    assert not hasattr(sys, "tracebacklimit")
