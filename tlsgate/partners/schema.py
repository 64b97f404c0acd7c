"""The JSON Schema of a partner file, made from the model: for completion in editors.

Draft 2020-12. It covers what a schema can express: keys, allowed words, formats of values, which
keys belong together. Only the loader checks public suffixes, canonical networks, other files and
the order of dates.
"""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Union, get_args, get_origin, get_type_hints

from tlsgate.partners.model import ExceptionRule, Inbound, Outbound, Partner, Require, Verify
from tlsgate.partners.values import NAME_LENGTH, REASON_LENGTH

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NAME = r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_PIN = (
    r"^([sS][hH][aA]-?256(//|[:=]))?"
    r"([0-9A-Fa-f]{64}|[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){31}|[A-Za-z0-9+/]{43}=)$"
)
_CIDR = r"^[0-9a-f.:]+/[0-9]{1,3}$"

_DESCRIPTIONS: Mapping[tuple[type, str], Mapping[str, Any]] = {
    (Partner, "name"): {
        "description": "The partner's name, as people know it.",
        "maxLength": NAME_LENGTH,
    },
    (Partner, "contact"): {
        "description": "The address to write to when the partner's mail is held.",
        "pattern": f"^[^@ ]+@{_NAME}$",
    },
    (Partner, "agreed"): {"description": "The day of the agreement."},
    (Partner, "review"): {"description": "The day by which it must be confirmed again."},
    (Partner, "mode"): {
        "description": "enforce: mail without the agreed proof is held or refused."
        " observe: it is only counted."
    },
    (Partner, "tls"): {
        "description": "strong: only encryption that is strong today."
        " compatible: older encryption too, for a partner that has nothing better."
    },
    (Partner, "domains"): {
        "description": "The partner's mail domains, in lower case, international ones as xn--….",
        "items": {"pattern": f"^{_NAME}$"},
    },
    (Partner, "subdomains"): {
        "description": "Whether the record also covers all names below the domains."
    },
    (Partner, "outbound"): {"description": "How mail to the partner is protected."},
    (Partner, "inbound"): {"description": "What is required of mail from the partner."},
    (Partner, "exceptions"): {"description": "Weaker rules, each of which ends by itself."},
    (Outbound, "verify"): {"description": "How the partner's server proves its identity."},
    (Outbound, "mx"): {
        "description": "Names accepted in the server's certificate; .name accepts any name below"
        " it. Without this key: the domain itself.",
        "items": {"pattern": rf"^\.?{_NAME}$"},
    },
    (Outbound, "public_keys"): {
        "description": "With verify: pin. The SHA-256 of the server's public keys (SPKI).",
        "items": {"pattern": _PIN},
    },
    (Outbound, "ca"): {
        "description": "With verify: private-ca. The certificate of the partner's CA, as PEM.",
        "pattern": "^-----BEGIN CERTIFICATE-----",
    },
    (Inbound, "require"): {"description": "What a client must present. TLS is always required."},
    (Inbound, "public_keys"): {
        "description": "With require: certificate. The SHA-256 of the client's public keys (SPKI).",
        "items": {"pattern": _PIN},
    },
    (Inbound, "networks"): {
        "description": "CIDR blocks that the partner sends from.",
        "items": {"pattern": _CIDR},
    },
    (ExceptionRule, "until"): {"description": "The exception's last day."},
    (ExceptionRule, "direction"): {"description": "Seen from the gateway."},
    (ExceptionRule, "allow"): {
        "description": "encrypted: TLS without authentication. plaintext: no TLS at all."
    },
    (ExceptionRule, "reason"): {
        "description": "Why it is needed, and the ticket.",
        "maxLength": REASON_LENGTH,
    },
    (ExceptionRule, "approved_by"): {
        "description": "Who approved it, as a mail address.",
        "pattern": f"^[^@ ]+@{_NAME}$",
    },
}
_NOT_IN_FILE = frozenset({(Partner, "file")})
_NOT_EMPTY = frozenset({(Partner, "domains"), (Outbound, "mx")})


def partner_schema() -> dict[str, Any]:
    """Return the schema of one record."""
    schema = _object(Partner)
    for section, key, word in (
        ("outbound", "verify", Verify.PIN),
        ("inbound", "require", Require.CERTIFICATE),
    ):
        schema["properties"][section]["allOf"] = [_keys_belong_to(key, word)]
    schema["properties"]["inbound"]["allOf"].append(_needed("require", Require.NETWORK, "networks"))
    schema["properties"]["outbound"]["allOf"].append(
        {
            "if": _chosen("verify", Verify.PRIVATE_CA),
            "then": {"required": ["ca"]},
            "else": {"properties": {"ca": {"maxLength": 0}}},
        }
    )
    return {
        "$schema": DIALECT,
        "title": "tlsgate partner",
        "description": "One partner of the gateway. `tlsgate partners check` checks the rest.",
        **schema,
    }


def schema_text() -> str:
    """Return the schema as the file `partner.schema.json` holds it."""
    return json.dumps(partner_schema(), indent=2, ensure_ascii=False) + "\n"


def _object(cls: type) -> dict[str, Any]:
    kinds = get_type_hints(cls)
    known = [field for field in fields(cls) if (cls, field.name) not in _NOT_IN_FILE]
    required = [field.name for field in known if _is_required(cls, field)]
    return {
        "type": "object",
        "additionalProperties": False,
        **({"required": required} if required else {}),
        "properties": {field.name: _property(cls, field, kinds[field.name]) for field in known},
    }


_DEFAULTS: Mapping[tuple[type, str], Any] = {
    (Partner, "mode"): "enforce",
    (Partner, "subdomains"): True,
    (Partner, "outbound"): None,
    (Partner, "inbound"): None,
}
"""Defaults that the reader of a file adds, and the model does not have."""


def _is_required(cls: type, field: Field[Any]) -> bool:
    absent = field.default is MISSING and field.default_factory is MISSING
    return absent and (cls, field.name) not in _DEFAULTS


def _property(cls: type, field: Field[Any], kind: Any) -> dict[str, Any]:
    place = (cls, field.name)
    words = dict(_DESCRIPTIONS.get(place, {}))
    shape = _shape(kind)
    if "items" in shape:
        shape["items"] |= words.pop("items", {})
        if place in _NOT_EMPTY:
            shape["minItems"] = 1
    default = _DEFAULTS.get(place, field.default)
    if isinstance(default, str | bool) and default != "":
        shape["default"] = str(default) if isinstance(default, StrEnum) else default
    return {**words, **shape}


def _shape(kind: Any) -> dict[str, Any]:
    """Return what a type of the model looks like in a file."""
    if get_origin(kind) is tuple:
        unique = {} if is_dataclass(get_args(kind)[0]) else {"uniqueItems": True}
        return {"type": "array", "items": _shape(get_args(kind)[0]), **unique}
    if get_origin(kind) in (Union, types.UnionType):
        return _shape(next(one for one in get_args(kind) if one is not type(None)))
    if is_dataclass(kind) and isinstance(kind, type):
        return _object(kind)
    if issubclass(kind, StrEnum):
        return {"enum": [word.value for word in kind]}
    return dict(_SCALARS[kind])


_SCALARS: Mapping[type, Mapping[str, Any]] = {
    bool: {"type": "boolean"},
    date: {"type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
    str: {"type": "string", "minLength": 1},
}


def _keys_belong_to(key: str, word: StrEnum) -> dict[str, Any]:
    """`public_keys` are required with the one word that uses them, and refused with any other."""
    filled = {"required": ["public_keys"], "properties": {"public_keys": {"minItems": 1}}}
    return {
        "if": _chosen(key, word),
        "then": filled,
        "else": {"properties": {"public_keys": {"maxItems": 0}}},
    }


def _needed(key: str, word: StrEnum, other: str) -> dict[str, Any]:
    filled = {"required": [other], "properties": {other: {"minItems": 1}}}
    return {"if": _chosen(key, word), "then": filled}


def _chosen(key: str, word: StrEnum) -> dict[str, Any]:
    return {"required": [key], "properties": {key: {"const": word.value}}}
