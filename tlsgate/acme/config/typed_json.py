"""Reads a configuration file into the records that also write it; every problem by its key.

msgspec decides what is right. It names one problem at a time, so what it refuses is searched part
by part. A type may say of itself what to write: `Meta(extra={"wrong": …, "remedy": …})`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin

import msgspec

from tlsgate.problems import Problem, ProblemsError

T = TypeVar("T", bound=msgspec.Struct)

Text = Annotated[str, msgspec.Meta(min_length=1)]
_REMEDIES = {
    str: "Write a string in quotes",
    bool: "Write true or false",
    Path: "Write the path of a file in quotes",
    tuple: "Write a list",
}


def load_json(path: Path, kind: type[T]) -> T:
    """The record of a JSON file. Raises ProblemsError with everything that is wrong in it.

    A file that the record names by its path must exist.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as fault:
        message = f"cannot be read: {fault.strerror}"
        raise _refused(path, "unreadable", message, "Run `pulumi up`, which writes it") from fault
    try:
        values = json.loads(text)
    except ValueError as fault:
        raise _refused(path, "not-json", f"is not JSON: {fault}", "Run `pulumi up`") from fault
    if not isinstance(values, dict):
        raise _refused(path, "not-json", "is not a JSON object", "Run `pulumi up`")
    found = [problem(path, *one) for one in _wrong(values, kind, "")]
    if found:
        raise ProblemsError(found)
    record: T = _converted(values, kind)
    return record


def to_json(record: msgspec.Struct) -> str:
    """The content of the file that `load_json` reads."""
    return json.dumps(msgspec.to_builtins(record, enc_hook=str), indent=2) + "\n"


def problem(path: Path, key: str, message: str, remedy: str) -> Problem:
    """What is wrong with a key of the file."""
    return Problem(str(path), 0, key, "bad-value", message, remedy)


def _refused(path: Path, code: str, message: str, remedy: str) -> ProblemsError:
    return ProblemsError([Problem(str(path), 0, "", code, message, remedy)])


def _converted(value: object, kind: Any) -> Any:
    return msgspec.convert(value, kind, dec_hook=_existing)


def _existing(kind: type, value: object) -> Path:
    if kind is Path and isinstance(value, str) and value and Path(value).exists():
        return Path(value)
    raise ValueError("no such file")


class _Kind(NamedTuple):
    """A type, taken apart. `options`: of a union, without None. `meta`: what its values obey."""

    options: tuple[Any, ...]
    meta: msgspec.Meta

    @property
    def plain(self) -> Any:
        return get_origin(self.options[0]) or self.options[0]

    @property
    def remedy(self) -> str:
        if self.meta.extra:
            return str(self.meta.extra["remedy"])
        if len(self.options) > 1:
            return f"Write an object whose `type` is {' or '.join(_by_tag(self.options))}"
        if self.plain is int:
            return f"Write a whole number from {self.meta.ge} to {self.meta.le}"
        return _REMEDIES.get(self.plain, "Write an object")


def _kind(kind: Any) -> _Kind:
    meta = msgspec.Meta()
    if get_origin(kind) is Annotated:
        kind, meta = get_args(kind)
    options = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    left = tuple(one for one in options if one is not NoneType)
    if len(left) == 1 and left[0] is not kind:
        return _kind(left[0])
    return _Kind(left, meta)


Wrong = tuple[str, str, str]
"""Key, message, remedy."""


def _wrong(value: object, kind: Any, key: str) -> Iterator[Wrong]:
    try:
        _converted(value, kind)
    except msgspec.ValidationError:
        yield from _parts(value, _kind(kind), key)


def _parts(value: object, kind: _Kind, key: str) -> Iterator[Wrong]:
    if isinstance(value, dict) and len(kind.options) > 1:
        known = _by_tag(kind.options)
        if value.get("type") not in known:
            remedy = f"Write {' or '.join(known)}"
            yield f"{key}.type", f"is {value.get('type')!r}, which is not known", remedy
            return
        others = {name: one for name, one in value.items() if name != "type"}
        yield from _fields(others, known[value["type"]], f"{key}.")
    elif isinstance(value, dict) and issubclass(kind.plain, msgspec.Struct):
        yield from _fields(value, kind.plain, f"{key}." if key else "")
    elif isinstance(value, list) and kind.plain is tuple:
        yield from _items(value, kind, key)
    elif kind.plain is Path and isinstance(value, str) and value:
        yield key, f"names {value}, which does not exist", "Mount it, or correct the path"
    else:
        wrong = (kind.meta.extra or {}).get("wrong", "") if isinstance(value, str) else ""
        yield key, f"is {value!r}{wrong and f', which {wrong}'}", kind.remedy


def _fields(values: dict[str, Any], struct: type[msgspec.Struct], prefix: str) -> Iterator[Wrong]:
    fields = {field.name: field for field in msgspec.structs.fields(struct)}
    for name, field in fields.items():
        value = values.get(name)
        if value is None and field.required:
            yield f"{prefix}{name}", "is missing", _kind(field.type).remedy
        elif name in values:
            yield from _wrong(value, field.type, f"{prefix}{name}")
    for name in sorted(values.keys() - fields):
        yield f"{prefix}{name}", "is not a known key", f"Known here: {', '.join(sorted(fields))}"


def _items(values: list[Any], kind: _Kind, key: str) -> Iterator[Wrong]:
    item, _ = get_args(kind.options[0])
    found = [one for number, v in enumerate(values) for one in _wrong(v, item, f"{key}[{number}]")]
    yield from found
    if found:
        return
    if not values:
        yield key, "is empty", f"Write at least one {'object' if _is_object(item) else 'string'}"
    else:
        yield key, f"has {len(values)} entries", f"Write at most {kind.meta.max_length}"


def _is_object(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _by_tag(structs: tuple[Any, ...]) -> dict[str, type[msgspec.Struct]]:
    return {str(struct.__struct_config__.tag): struct for struct in structs}
