"""What the components' dynamic providers share.

A dynamic provider is pickled by reference into the state: its module path and class name are a
contract with existing stacks. Providers hold no attributes; inputs say everything, and nothing
secret is ever an input.
"""

from __future__ import annotations

import sys
from typing import Any

from pulumi.dynamic import ConfigureRequest, DiffResult, ResourceProvider
from pulumi.runtime.rpc import contains_unknowns

Props = dict[str, Any]
PROVIDER_KEY = "__provider"


class Provider(ResourceProvider):
    """A provider whose errors reach the user as their text alone, and whose code is no secret."""

    serialize_as_secret_always = False

    def configure(self, req: ConfigureRequest) -> None:
        """Keep Python's stack out of the errors that `pulumi up` prints."""
        del req
        sys.tracebacklimit = 0


def changed_keys(olds: Props, news: Props, keys: tuple[str, ...]) -> list[str]:
    """Return which of the named inputs differ; an unknown one counts as different."""
    return [
        key for key in keys if contains_unknowns(news.get(key)) or olds.get(key) != news.get(key)
    ]


def all_known(props: Props) -> bool:
    """Whether nothing in the inputs waits for another resource, as it may at a preview."""
    return not contains_unknowns(props)


def difference(changed: list[str], replaces: tuple[str, ...] = ()) -> DiffResult:
    """Return Pulumi's answer for the changed inputs."""
    return DiffResult(
        changes=bool(changed),
        replaces=[key for key in changed if key in replaces],
        delete_before_replace=True,
    )
