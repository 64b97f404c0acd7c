"""The contract with all existing states: the names of the dynamic providers in them.

Pulumi pickles a provider into the state, by dill. A class that can be imported goes in as the names
of its module and itself; any other as code, which another version of Python cannot run. Refresh,
update and destroy import the name that the state has, so a name in this table must never go.
"""

from __future__ import annotations

import base64
import json
import pickle
import pickletools
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import dill
import pytest
from pulumi.dynamic.dynamic import serialize_provider

import tlsgate_pulumi
from tlsgate_pulumi.dynamic import Provider

WRITTEN = {
    ("tlsgate_pulumi.delivery", "DeliveryProvider"),
    ("tlsgate_pulumi.dns", "DnsRecordsProvider"),
    ("tlsgate_pulumi.job", "JobProvider"),
    ("tlsgate_pulumi.volume_files", "VolumeFilesProvider"),
}
"""What `up` writes today. A new provider is added here; a name that was released is never removed,
but moved to `READ`, and kept importable."""
READ = {
    ("components.delivery", "DeliveryProvider"),
    ("components.dns", "DnsRecordsProvider"),
    ("components.job", "JobProvider"),
    ("components.volume_files", "VolumeFilesProvider"),
}
"""What only older states have."""
RECORDED = Path(__file__).parents[2] / "integration/upgrade/recorded/state.json"
BY_NAME = ["STACK_GLOBAL", "EMPTY_TUPLE", "NEWOBJ", "STOP"]
"""An object of a class without arguments: all that unpickling does besides keeping count."""


def providers() -> list[type[Provider]]:
    for module in pkgutil.iter_modules(tlsgate_pulumi.__path__):
        import_module(f"tlsgate_pulumi.{module.name}")
    return list(subclasses(Provider))


def subclasses(cls: type[Provider]) -> Iterator[type[Provider]]:
    for sub in cls.__subclasses__():
        # Not the same class under its old name, nor a test's own.
        if sub.__module__.startswith("tlsgate_pulumi."):
            yield sub
        yield from subclasses(sub)


def taken_apart(pickled: bytes) -> tuple[list[str], list[object]]:
    """Return the operations of a pickle and the strings in it."""
    found = [(operation.name, value) for operation, value, _ in pickletools.genops(pickled)]
    counting = ("PROTO", "FRAME", "MEMOIZE")
    done = [name for name, _ in found if name not in (*counting, "SHORT_BINUNICODE")]
    return done, [value for name, value in found if name == "SHORT_BINUNICODE"]


def test_the_table_names_every_provider() -> None:
    assert {(cls.__module__, cls.__name__) for cls in providers()} == WRITTEN


@pytest.mark.parametrize(("module", "name"), sorted(WRITTEN))
def test_the_state_gets_names_and_no_code(module: str, name: str) -> None:
    provider = getattr(import_module(module), name)()
    # What a provider would hold went into the state with it.
    assert vars(provider) == {}
    assert taken_apart(base64.b64decode(serialize_provider(provider))) == (BY_NAME, [module, name])


def test_code_in_a_state_would_be_detected() -> None:
    """As of a class in a program's own `__main__`."""
    local = type("Local", (Provider,), {"__module__": "__main__"})()
    done, _ = taken_apart(base64.b64decode(serialize_provider(local)))
    assert done != BY_NAME
    assert "REDUCE" in done


@pytest.mark.parametrize(("module", "name"), sorted(WRITTEN | READ))
@pytest.mark.parametrize("protocol", range(4, pickle.HIGHEST_PROTOCOL + 1))
def test_every_name_is_found_as_any_python_wrote_it(module: str, name: str, protocol: int) -> None:
    """Python 3.11 writes protocol 4, 3.14 protocol 5."""
    cls = getattr(import_module(module), name)
    assert (cls.__module__, cls.__name__) == (module, name)
    read = dill.loads(dill.dumps(cls(), protocol=protocol))  # noqa: S301 - ours
    assert isinstance(read, Provider)
    assert type(read).__name__ == name


def test_the_recorded_state_has_no_other_name() -> None:
    resources = json.loads(RECORDED.read_text())["deployment"]["resources"]
    pickled = {
        resource[part]["__provider"]
        for resource in resources
        for part in ("inputs", "outputs")
        if "__provider" in resource.get(part, {})
    }
    read = [taken_apart(base64.b64decode(one)) for one in pickled]
    assert {done == BY_NAME for done, _ in read} == {True}
    assert {tuple(names) for _, names in read} == READ
