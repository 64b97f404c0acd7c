"""Imports partners from a list in the format of EFF's STARTTLS Everywhere (JSON, version 0.1).

The format: `{"version", "expires", "policy-aliases": {alias: policy}, "policies": {domain: policy
or {"policy-alias": alias}}}`. A policy is `{"mode": "enforce"|"testing"|"none", "mxs": [names]}`.

An expired list is imported like any other, because that list protected nobody once it had expired.
A record never expires: it has a date by which it must be confirmed again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tlsgate.partners.importing import Row, Source
from tlsgate.problems import shown, visible

_MODES = {"enforce": "enforce", "testing": "observe"}
_LIST_KEYS = frozenset(
    {"version", "timestamp", "expires", "author", "comment", "policies", "policy-aliases"}
)
_POLICY_KEYS = frozenset({"mode", "mxs"})
_REMEDY = "Write the record by hand"


class _DoubledKeyError(ValueError):
    """A key appears twice in an object: one of the two values would be lost."""


def read_eff(source: Source) -> Iterator[Row]:
    """Yield a row for each domain; problems and notes are added to the source."""
    try:
        content = json.loads(source.text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        message = f"is not JSON ({visible(str(error))[:100]})"
        source.problem(0, "", "bad-json", message, "Give the file of the policy list itself")
        return
    lists = ("policies", "policy-aliases")
    if not isinstance(content, dict) or not all(
        isinstance(content.get(key, {}), dict) for key in lists
    ):
        message = "is not a STARTTLS Everywhere list: the keys of policies must be domains"
        source.problem(
            0, "policies", "bad-list", message, "Give the file of the policy list itself"
        )
        return
    _check_list(source, content)
    aliases = content.get("policy-aliases", {})
    for domain, policy in content.get("policies", {}).items():
        row = _row(source, domain, policy, aliases)
        if row is not None:
            yield row
    used = {
        str(policy.get("policy-alias"))
        for policy in content.get("policies", {}).values()
        if isinstance(policy, dict)
    }
    for alias in sorted(aliases.keys() - used):
        key = f"policy-aliases.{visible(alias)[:80]}"
        source.note(0, key, "not-used", "is used by no domain", "Nothing to do")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        doubled = next(name for name in names if names.count(name) > 1)
        raise _DoubledKeyError(f"the key {shown(doubled)} appears twice in one object")
    return found


def _check_list(source: Source, content: Mapping[str, Any]) -> None:
    version = str(content.get("version", ""))
    if version.split(".", maxsplit=1)[0] != "0":
        message = f"has the version {shown(version)}, which is not supported"
        source.problem(0, "version", "bad-version", message, "Import a list of version 0.1")
    for key in content.keys() - _LIST_KEYS:
        message = "is not a key of the list"
        source.problem(0, visible(key)[:80], "unknown-key", message, "Delete it")
    if "expires" in content:
        message = f"says {shown(str(content['expires']))}; a record does not expire"
        remedy = "Nothing to do: each record has a date by which it must be confirmed again"
        source.note(0, "expires", "no-expiry", message, remedy)


def _row(source: Source, domain: str, policy: Any, aliases: Mapping[str, Any]) -> Row | None:
    """Return a domain's record; None, and a problem, if its policy is not valid."""
    key = f"policies.{visible(domain)[:80]}"
    if isinstance(policy, dict) and "policy-alias" in policy:
        alias = policy["policy-alias"]
        if len(policy) > 1 or not isinstance(alias, str) or alias not in aliases:
            message = (
                f"has the alias {shown(str(alias))}, which is not defined, or other keys beside it"
            )
            source.problem(0, key, "bad-alias", message, "Write the policy itself, or its alias")
            return None
        policy = aliases[alias]
    if not isinstance(policy, dict) or not isinstance(policy.get("mxs", []), list):
        source.problem(0, key, "bad-policy", "is not a policy", "Write its mode and mxs")
        return None
    unknown = policy.keys() - _POLICY_KEYS
    if unknown:
        said = shown(", ".join(sorted(unknown)))
        source.problem(0, key, "not-said", f"{said} cannot be expressed in a record", _REMEDY)
        return None
    mode = _MODES.get(str(policy.get("mode")))
    if mode is None:
        message = f"has the mode {shown(str(policy.get('mode')))}, which protects nothing"
        source.problem(0, key, "too-weak", message, "Agree on enforce, or leave the domain out")
        return None
    if mode == "observe":
        message = "is in testing, and is imported with `mode: observe`"
        source.note(0, key, "observed", message, "Nothing is held until its mode is enforce")
    outbound: dict[str, Any] = {"verify": "pkix"}
    names = [_name(source, key, str(name)) for name in policy.get("mxs", [])]
    if not names:
        message = "has no mxs: any server would be accepted"
        source.problem(0, key, "too-weak", message, "Write the names of the domain's servers")
        return None
    outbound["mx"] = list(dict.fromkeys(names))
    domains = [domain.lower()]
    return Row(0, {"mode": mode, "domains": domains, "subdomains": False, "outbound": outbound})


def _name(source: Source, key: str, name: str) -> str:
    if name.startswith("*."):
        message = f"{shown(name)} becomes {shown(name[1:])}, which covers more than one label"
        source.note(0, key, "pattern", message, "Write the servers' own names if that is too broad")
        name = name[1:]
    return name.lower()
