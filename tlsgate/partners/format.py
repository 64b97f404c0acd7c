"""Writes the partner list: as canonical JSON with its digest, and as canonical YAML."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tlsgate.partners.model import Partner

LIST_FILE = "partners.json"
"""The canonical list in the gateway's configuration."""
_PLAIN = re.compile(r"[A-Za-z0-9.][A-Za-z0-9.@+/_-]*(?: [A-Za-z0-9.@+/_&()-]+)*")
"""Strings that YAML reads literally without quotes, also in a list."""
_AMBIGUOUS = re.compile(
    r"[-+.]?(?:[0-9][0-9_.:]*(?:e[-+]?[0-9]+)?|0[xo][0-9a-f_]+|\.?inf|\.?nan)"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}.*"
    r"|true|false|yes|no|on|off|y|n|null",
    re.IGNORECASE,
)
"""Strings that other YAML readers take for another type."""


def canonical_json(partners: Iterable[Partner]) -> str:
    """Return the list as one line of JSON: sorted by name and key, without spaces or file names."""
    ordered = sorted(partners, key=lambda partner: partner.name)
    records = [partner.to_dict() for partner in ordered]
    return json.dumps(records, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def digest(partners: Iterable[Partner]) -> str:
    """Return the SHA-256 of the canonical JSON, in hex."""
    return hashlib.sha256(canonical_json(partners).encode("ascii")).hexdigest()


def to_yaml(partner: Partner) -> str:
    """Return the record as a partner file: keys in the record's order, empty lists left out."""
    return "".join(f"{line}\n" for _, line in yaml_lines(partner))


def yaml_lines(partner: Partner) -> Iterator[tuple[str, str]]:
    """Yield the lines of a partner file, each with its key, such as `exceptions[0].until`.

    The lines of a multi-line string have the key and their number, such as `outbound.ca:0`.
    """
    return _lines(partner.to_dict(), "")


def _lines(values: Mapping[str, Any], above: str) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        path = f"{above}{key}"
        if value == []:
            continue
        if isinstance(value, str) and "\n" in value:
            yield path, f"{key}: |"
            for number, line in enumerate(value.splitlines()):
                yield f"{path}:{number}", f"  {line}"
            continue
        if isinstance(value, Mapping):
            yield path, f"{key}:"
            yield from ((below, f"  {line}") for below, line in _lines(value, f"{path}."))
        elif isinstance(value, list) and isinstance(value[0], Mapping):
            yield path, f"{key}:"
            for position, item in enumerate(value):
                indent = "  - "
                for below, line in _lines(item, f"{path}[{position}]."):
                    yield below, f"{indent}{line}"
                    indent = "    "
        else:
            yield path, f"{key}: {_value(key, value)}"


def _value(key: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(_value('', item) for item in value)}]"
    text = str(value)
    is_date = key in {"agreed", "review", "until"}
    if _PLAIN.fullmatch(text) and (is_date or not _AMBIGUOUS.fullmatch(text)):
        return text
    return json.dumps(text, ensure_ascii=False)
