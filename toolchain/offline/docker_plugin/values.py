"""Property values: the protocol's Struct on one side, plain Python on the other.

Implements the value encoding of Pulumi's provider protocol: numbers are doubles, a value that is
not known yet is a sentinel string, a secret is an object with a signature.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from google.protobuf import struct_pb2

UNKNOWN_SENTINEL: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_SIGNATURE_KEY: Final = "4dabf18193072939515e22adb298388d"
_SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a marker


class Unknown(Enum):
    """A value that is known only after another resource has been made."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN


def from_struct(struct: struct_pb2.Struct) -> dict[str, Any]:
    """Return `struct` as a dict; nulls are left out, whole numbers are ints."""
    return {
        key: value for key, raw in struct.fields.items() if (value := _from_value(raw)) is not None
    }


def _from_value(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return UNKNOWN if value.string_value == UNKNOWN_SENTINEL else value.string_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "bool_value":
        return value.bool_value
    if kind == "list_value":
        return [_from_value(item) for item in value.list_value.values]
    if kind == "struct_value":
        return _from_object(value.struct_value)
    return None


def _from_object(struct: struct_pb2.Struct) -> Any:
    signature = struct.fields.get(_SIGNATURE_KEY)
    if signature is not None and signature.string_value == _SECRET_SIGNATURE:
        return _from_value(struct.fields["value"])
    return from_struct(struct)


def to_struct(properties: Mapping[str, Any]) -> struct_pb2.Struct:
    """Return `properties` as a Struct; None is left out."""
    struct = struct_pb2.Struct()
    for key, value in properties.items():
        if value is not None:
            _fill(struct.fields[key], value)
    return struct


def _fill(target: struct_pb2.Value, value: Any) -> None:
    if isinstance(value, Unknown):
        target.string_value = UNKNOWN_SENTINEL
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int | float):
        target.number_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, Mapping):
        target.struct_value.SetInParent()
        for key, item in value.items():
            if item is not None:
                _fill(target.struct_value.fields[str(key)], item)
    elif isinstance(value, list | tuple):
        target.list_value.SetInParent()
        for item in value:
            _fill(target.list_value.values.add(), item)
    else:
        target.null_value = struct_pb2.NULL_VALUE


def has_unknown(value: Any) -> bool:
    """Return whether `value` is, or holds at any depth, a value that is not known yet."""
    if isinstance(value, Unknown):
        return True
    if isinstance(value, Mapping):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(has_unknown(item) for item in value)
    return False
