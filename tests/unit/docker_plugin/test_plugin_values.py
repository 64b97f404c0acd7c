"""Property values survive the wire."""

from __future__ import annotations

import copy
from typing import Any

from google.protobuf import struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from toolchain.offline.docker_plugin.values import UNKNOWN, from_struct, has_unknown, to_struct

scalars = st.one_of(st.booleans(), st.integers(-(2**53), 2**53), st.text(), st.just(UNKNOWN))
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10
)


@given(st.dictionaries(st.text(), values))
def test_a_round_trip_changes_nothing(properties: dict[str, Any]) -> None:
    back = from_struct(to_struct(properties))
    assert back == properties
    assert type(back.get("a")) is type(properties.get("a"))


def test_a_secret_is_read_as_its_value() -> None:
    struct = struct_pb2.Struct()
    struct.update(
        {
            "password": {
                "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
                "value": ["x"],
            }
        }
    )
    assert from_struct(struct) == {"password": ["x"]}


def test_null_and_none_are_left_out() -> None:
    struct = struct_pb2.Struct()
    struct.update({"a": None, "b": {"c": None}})
    assert from_struct(struct) == {"b": {}}
    assert from_struct(to_struct({"a": None, "b": {"c": None}})) == {"b": {}}


def test_unknown_is_found_at_any_depth_and_survives_a_copy() -> None:
    assert has_unknown({"a": [{"b": UNKNOWN}]})
    assert not has_unknown({"a": [{"b": "x"}]})
    assert copy.deepcopy({"a": UNKNOWN})["a"] is UNKNOWN
