"""Providers as `pulumi up` wrote them into the state when the package was called `components`."""

from __future__ import annotations

import base64
import importlib

import dill
import pytest
from pulumi.dynamic.dynamic import serialize_provider

from tlsgate_pulumi.dynamic import Provider

RECORDED = {
    "delivery.DeliveryProvider": (
        "gASVLwAAAAAAAACME2NvbXBvbmVudHMuZGVsaXZlcnmUjBBEZWxpdmVyeVByb3ZpZGVylJOUKYGULg=="
    ),
    "dns.DnsRecordsProvider": (
        "gASVLAAAAAAAAACMDmNvbXBvbmVudHMuZG5zlIwSRG5zUmVjb3Jkc1Byb3ZpZGVylJOUKYGULg=="
    ),
    "job.JobProvider": "gASVJQAAAAAAAACMDmNvbXBvbmVudHMuam9ilIwLSm9iUHJvdmlkZXKUk5QpgZQu",
    "volume_files.VolumeFilesProvider": (
        "gASVNgAAAAAAAACMF2NvbXBvbmVudHMudm9sdW1lX2ZpbGVzlIwTVm9sdW1lRmlsZXNQcm92aWRlcpSTlCmBlC4="
    ),
}


@pytest.mark.parametrize("name", RECORDED)
def test_an_older_state_still_finds_its_provider(name: str) -> None:
    provider = dill.loads(base64.b64decode(RECORDED[name]))  # noqa: S301 - ours
    assert isinstance(provider, Provider)
    module, _, cls = name.partition(".")
    today = getattr(importlib.import_module(f"tlsgate_pulumi.{module}"), cls)
    old = type(provider)
    assert (old.__name__, old.__module__) == (today.__name__, f"components.{module}")
    assert importlib.import_module(old.__module__).__file__ == (
        importlib.import_module(today.__module__).__file__
    )


@pytest.mark.parametrize("name", RECORDED)
def test_what_goes_into_the_state_is_a_reference_and_no_code(name: str) -> None:
    module, _, cls = name.partition(".")
    provider = getattr(importlib.import_module(f"tlsgate_pulumi.{module}"), cls)()
    written = base64.b64decode(serialize_provider(provider))
    assert f"tlsgate_pulumi.{module}".encode() in written
    assert len(written) < 100
