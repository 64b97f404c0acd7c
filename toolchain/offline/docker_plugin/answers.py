"""The protocol's answers from plain values, and what a URN says. Pure."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

from pulumi.runtime import proto

from toolchain.offline.docker_plugin.properties import Change, Failure

_NAME_SUFFIX_DIGITS: Final = 7


def resource_type(urn: str) -> str:
    """Return the type token in `urn`, without the types of its parents."""
    return urn.split("::")[2].rpartition("$")[2]


def autoname(urn: str, seed: bytes) -> str:
    """Return a physical name for the resource at `urn`: its logical name and a random suffix."""
    logical = urn.rpartition("::")[2]
    material = hashlib.sha256(seed).hexdigest() if seed else secrets.token_hex(16)
    return f"{logical}-{material[:_NAME_SUFFIX_DIGITS]}"


def diff_response(changes: list[Change], *, delete_first: bool) -> proto.DiffResponse:
    """Return `changes` as the protocol's detailed diff.

    A replacement makes the new before it removes the old unless the program says otherwise; only
    what never became ready is removed first.
    """
    kinds = {
        ("add", False): proto.PropertyDiff.ADD,
        ("add", True): proto.PropertyDiff.ADD_REPLACE,
        ("delete", False): proto.PropertyDiff.DELETE,
        ("delete", True): proto.PropertyDiff.DELETE_REPLACE,
        ("update", False): proto.PropertyDiff.UPDATE,
        ("update", True): proto.PropertyDiff.UPDATE_REPLACE,
    }
    return proto.DiffResponse(
        changes=proto.DiffResponse.DIFF_SOME if changes else proto.DiffResponse.DIFF_NONE,
        replaces=[change.path for change in changes if change.replace],
        diffs=list(dict.fromkeys(change.path.partition(".")[0] for change in changes)),
        hasDetailedDiff=True,
        detailedDiff={
            change.path: proto.PropertyDiff(kind=kinds[change.verb, change.replace], inputDiff=True)
            for change in changes
        },
        deleteBeforeReplace=delete_first,
    )


def check_failures(failures: list[Failure]) -> list[proto.CheckFailure]:
    """Return `failures` as the protocol's."""
    return [proto.CheckFailure(property=f.path, reason=f.reason) for f in failures]
