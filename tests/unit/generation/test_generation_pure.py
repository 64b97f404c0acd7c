from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlsgate.generation import requirements
from tlsgate.generation.certificate import CertificateFault
from tlsgate.generation.health import authenticated, soa_query
from tlsgate.generation.manifest import (
    MANIFEST,
    Refused,
    generation_id,
    live_digest,
    manifest_of,
    require_sources,
    verify,
)
from tlsgate.generation.next_step import Alert, NextStep, VolumeState, WantedGeneration, next_step

FILES = st.dictionaries(st.text("abc.", min_size=1), st.binary(max_size=20), max_size=5)


@given(FILES, FILES)
def test_ids_name_contents(one: dict[str, bytes], other: dict[str, bytes]) -> None:
    assert (live_digest(one) == live_digest(other)) == (one == other)
    assert generation_id(one) == live_digest(one)[:16]


def installed(**changes: bytes) -> dict[str, bytes]:
    entries = {"main.cf": b"a", "routes": b"b", "routes.lmdb": b"c"}
    manifest = manifest_of(entries).to_json().encode()
    renamed = {name.replace("_", "."): content for name, content in changes.items()}
    return {**entries, MANIFEST: manifest, **renamed}


NAME = generation_id({"main.cf": b"a", "routes": b"b"})


def test_an_intact_generation() -> None:
    verify(NAME, installed())


@pytest.mark.parametrize(
    ("name", "entries", "reason"),
    [
        (NAME, installed(main_cf=b"x"), "main.cf"),
        (NAME, installed(routes_lmdb=b"x"), "routes.lmdb"),
        (NAME, installed(new=b"x"), "changed since it was installed: new"),
        (NAME, {k: v for k, v in installed().items() if k != "routes"}, "routes"),
        (
            NAME,
            {k: v for k, v in installed().items() if k != MANIFEST},
            "its installation was not completed",
        ),
        (NAME, installed(manifest_json=b"{"), "cannot be read"),
        (NAME, installed(manifest_json=b"[]"), "cannot be read"),
        ("0" * 16, installed(), f"those of generation {NAME}"),
    ],
)
def test_a_changed_generation(name: str, entries: dict[str, bytes], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        verify(name, entries)


@pytest.mark.parametrize("name", ["", "../x", ".hidden", "a/b", "x.lmdb", MANIFEST, "a b", "a\n"])
def test_names_that_a_delivery_may_not_hold(name: str) -> None:
    with pytest.raises(Refused):
        require_sources({name: b""})
    with pytest.raises(Refused, match="no file"):
        require_sources({})


MAIN = b"""\
myhostname = mx1.corp.example
smtpd_tls_chain_files = /run/tlsgate/tls/mx1.corp.example.pem
transport_maps = lmdb:/run/tlsgate/active/routes
x = cidr:/run/tlsgate/active/networks
"""


def test_what_postfix_needs() -> None:
    files = {"main.cf": MAIN, "master.cf": b"", "routes": b"", "networks": b""}
    assert requirements.tables(files) == {"routes": "lmdb", "networks": "cidr"}
    assert requirements.certificates(requirements.POSTFIX, files) == {
        "mx1.corp.example": ("mx1.corp.example",)
    }
    with pytest.raises(Refused, match="missing: networks"):
        requirements.tables({name: text for name, text in files.items() if name != "networks"})
    with pytest.raises(Refused, match=r"main\.cf is missing"):
        requirements.tables({})
    with pytest.raises(Refused, match="one certificate"):
        requirements.certificates(requirements.POSTFIX, {"main.cf": b"myhostname = a\n"})


def test_what_nginx_needs() -> None:
    from tlsgate.render.mta_sts import PolicySettings
    from tlsgate.render.policy_host import PolicyHostSettings, render_policy_host

    domains = tuple(f"d{number}.example" for number in range(26))
    policy = PolicySettings("enforce", 86400, ("mx1.corp.example",))
    files = render_policy_host(PolicyHostSettings(domains, policy))
    wanted = requirements.certificates(
        requirements.NGINX, {k: v.encode() for k, v in files.items()}
    )
    assert wanted == {
        "policy-1": tuple(f"mta-sts.d{number}.example" for number in range(25)),
        "policy-2": ("mta-sts.d25.example",),
    }


OLD = WantedGeneration("old", {"mx": ("mx.example",)})
NEW = WantedGeneration("new", {"mx": ("mx.example",)})
RENAMED = WantedGeneration("new", {"mx2": ("mx2.example",)})
NEXT = "What is in force stays. Correct the configuration and run `pulumi up` again."
BAD = Alert("generation new refused", "changed", NEXT)
EXPIRED, WRONG = (
    CertificateFault("certificate has expired", expired=True),
    CertificateFault("wrong key"),
)
MX = frozenset({"mx"})


def refused(fault: CertificateFault) -> Alert:
    return Alert(
        "certificate mx refused",
        fault.reason,
        "The certificate in use stays, if there is one. The agent's log says more.",
    )


NO_CERTIFICATE = Alert("generation new refused", "no certificate mx", NEXT)


@pytest.mark.parametrize(
    ("kind", "state", "decision"),
    [
        # At the start
        ("postfix", VolumeState(None, NEW, {"mx": None}, frozenset()), NextStep(NEW, ("mx",))),
        ("postfix", VolumeState(None, BAD, {}, frozenset()), NextStep(alerts=(BAD,))),
        ("postfix", VolumeState(None, NEW, {}, frozenset()), NextStep(alerts=(NO_CERTIFICATE,))),
        (
            "postfix",
            VolumeState(None, NEW, {"mx": WRONG}, frozenset()),
            NextStep(alerts=(refused(WRONG), NO_CERTIFICATE)),
        ),
        (
            "postfix",
            VolumeState(None, NEW, {"mx": EXPIRED}, frozenset()),
            NextStep(NEW, ("mx",), alerts=(refused(EXPIRED),)),
        ),
        ("postfix", VolumeState(None, None, {}, frozenset()), NextStep()),
        # While it runs
        ("postfix", VolumeState(OLD, None, {"mx": None}, MX), NextStep(None, ("mx",))),
        ("postfix", VolumeState(OLD, None, {"mx": WRONG}, MX), NextStep(alerts=(refused(WRONG),))),
        (
            "postfix",
            VolumeState(OLD, None, {"mx": EXPIRED}, MX),
            NextStep(alerts=(refused(EXPIRED),)),
        ),
        ("postfix", VolumeState(OLD, None, {}, MX), NextStep()),
        ("postfix", VolumeState(OLD, NEW, {"mx": None}, MX), NextStep(NEW, ("mx",))),
        (
            "postfix",
            VolumeState(OLD, NEW, {"mx": WRONG}, MX),
            NextStep(NEW, alerts=(refused(WRONG),)),
        ),
        (
            "postfix",
            VolumeState(OLD, BAD, {"mx": None}, MX),
            NextStep(None, ("mx",), alerts=(BAD,)),
        ),
        (
            "postfix",
            VolumeState(OLD, RENAMED, {"mx2": None}, frozenset()),
            NextStep(RENAMED, ("mx2",)),
        ),
        (
            "postfix",
            VolumeState(OLD, RENAMED, {}, frozenset()),
            NextStep(alerts=(Alert("generation new refused", "no certificate mx2", NEXT),)),
        ),
        # The policy host
        ("nginx", VolumeState(None, NEW, {}, frozenset()), NextStep(NEW)),
        (
            "nginx",
            VolumeState(None, NEW, {"mx": None}, frozenset()),
            NextStep(NEW, ("mx",), https=True),
        ),
        (
            "nginx",
            VolumeState(OLD, None, {"mx": None}, frozenset()),
            NextStep(None, ("mx",), https=True),
        ),
        ("nginx", VolumeState(OLD, NEW, {}, frozenset()), NextStep(NEW)),
        (
            "nginx",
            VolumeState(OLD, NEW, {}, frozenset(), https=True),
            NextStep(None, https=True, alerts=(NO_CERTIFICATE,)),
        ),
        ("nginx", VolumeState(OLD, None, {}, MX, https=True), NextStep(https=True)),
    ],
)
def test_decisions(kind: str, state: VolumeState, decision: NextStep) -> None:
    assert next_step(kind, state) == decision


def test_dns_probe() -> None:
    query, identifier = soa_query("sub.example.")
    assert query[12:] == b"\x03sub\x07example\x00\x00\x06\x00\x01"
    assert soa_query(".")[0][12:] == b"\x00\x00\x06\x00\x01"
    head = query[:2]
    assert authenticated(head + b"\x81\xa0" + query[4:], identifier)
    assert not authenticated(head + b"\x81\x80" + query[4:], identifier)  # without AD
    assert not authenticated(head + b"\x81\xa3" + query[4:], identifier)  # NXDOMAIN
    assert not authenticated(head + b"\x01\xa0" + query[4:], identifier)  # a query
    assert not authenticated(head + b"\x81\xa0" + query[4:], identifier ^ 1)
    assert not authenticated(b"", identifier)


def test_manifest_is_json() -> None:
    values = json.loads(manifest_of({"a": b""}).to_json())
    assert set(values) == {"generation", "files"}
