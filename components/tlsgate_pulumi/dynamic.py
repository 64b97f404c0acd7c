"""The base of the components' dynamic providers.

A dynamic provider is pickled by reference into the state: its module path and class name are a
contract with existing stacks. Providers have no attributes; their inputs contain everything, but
never a secret.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Any

from pulumi.dynamic import CheckFailure, CheckResult, ConfigureRequest, DiffResult, ResourceProvider
from pulumi.runtime.rpc import contains_unknowns

from tlsgate_pulumi import engine

Props = dict[str, Any]
PACKAGE = Path(__file__).parent
_format_with_stack = traceback.format_exc


def format_exc(limit: int | None = None, chain: bool = True) -> str:
    """As traceback.format_exc, but only the text of an error that passed through this package."""
    error = sys.exc_info()[1]
    frames = traceback.walk_tb(error.__traceback__ if error else None)
    ours = any(Path(frame.f_code.co_filename).parent == PACKAGE for frame, _ in frames)
    return _format_with_stack(0 if ours else limit, chain)


class Provider(ResourceProvider):
    """A provider whose errors are shown as text only, and whose code is not a secret."""

    serialize_as_secret_always = False

    def configure(self, req: ConfigureRequest) -> None:
        """Remove Python's stack trace from the errors that `pulumi up` prints.

        Pulumi calls this in the process that runs all dynamic providers of the program, including
        other packages'. That process prints what `traceback.format_exc` returns.
        """
        del req
        traceback.format_exc = format_exc


def check_engine(news: Props) -> CheckResult:
    """Refuse an engine that is too old or does not answer, at preview and before `up`.

    No container of a gateway is created before a resource that asks this.
    """
    at = news.get("engine")
    reason = None if contains_unknowns(at) else engine.unfit(at)
    return CheckResult(news, [CheckFailure("", reason)] if reason else [])


def changed_keys(olds: Props, news: Props, keys: tuple[str, ...]) -> list[str]:
    """Return which of the named inputs differ; an unknown one counts as different."""
    return [
        key for key in keys if contains_unknowns(news.get(key)) or olds.get(key) != news.get(key)
    ]


def all_known(props: Props) -> bool:
    """Return whether all inputs are known; in a preview, some may depend on other resources."""
    return not contains_unknowns(props)


def difference(changed: list[str], replaces: tuple[str, ...] = ()) -> DiffResult:
    """Return Pulumi's answer for the changed inputs."""
    return DiffResult(
        changes=bool(changed),
        replaces=[key for key in changed if key in replaces],
        delete_before_replace=True,
    )
