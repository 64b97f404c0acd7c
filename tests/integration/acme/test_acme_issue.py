"""Issuing as in `pulumi up`, with a real CA and a real DNS server."""

from __future__ import annotations

import json
import stat
from datetime import timedelta

import pytest

from tests.integration.acme.acme_agent import (
    MX,
    answers,
    configure,
    delete_tlsa,
    issuer_at,
    mx,
    paths,
    policy,
    run,
    served,
    tlsa_is_right,
)
from tests.integration.acme.acme_world import World
from tlsgate.acme.certificate import facts
from tlsgate.acme.config.agent_json import load

pytestmark = pytest.mark.integration


def test_first_and_repeated_issue(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    volumes = world.volumes("first")
    brand = ["mta-sts.corp.example", "mta-sts.brand.example"]
    configure(world, volumes, [mx(), policy(1, *brand)])

    assert run(volumes, "issue") == 0
    output = capsys.readouterr()
    *events, last = output.out.splitlines()
    result = json.loads(last)
    assert result["account"].startswith(f"https://{world.ca_address}:14000/")
    assert result["certificates"] == [
        {
            "name": MX,
            "names": [MX],
            "issuer": world.directory,
        },
        {
            "name": "policy-1",
            "names": sorted(brand),
            "issuer": world.directory,
        },
    ]
    kinds = [json.loads(event)["event"] for event in events]
    assert kinds == [
        "due",
        "account",
        "order",
        "tlsa",
        "switch",
        "certificate",
        "due",
        "order",
        "switch",
        "certificate",
    ]
    assert "PRIVATE" not in output.out + output.err

    # The policy certificate has no TLSA record, and no answer to a challenge is left.
    assert tlsa_is_right(world, volumes)
    for name in (MX, *brand):
        assert answers(world, f"_acme-challenge.{name}", "TXT") == set()

    before = served(volumes), served(volumes, "policy", "policy-1")
    assert run(volumes, "issue") == 0
    *events, again = capsys.readouterr().out.splitlines()
    assert [json.loads(event)["event"] for event in events] == ["renewal-info", "renewal-info"]
    assert again == last
    assert (served(volumes), served(volumes, "policy", "policy-1")) == before
    assert set(result.pop("keys")) == {MX, "policy-1"}
    assert run(volumes, "show") == 0
    assert json.loads(capsys.readouterr().out) == result


def test_permissions(world: World) -> None:
    volumes = world.volumes("permissions")
    configure(world, volumes, [mx()])
    assert run(volumes, "issue") == 0
    private = [*volumes.keys.rglob("*.pem"), *volumes.state.rglob("*.pem")]
    assert {path.name for path in private} == {"key.pem", "fullchain.pem"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}


def test_renewal_keeps_the_key(world: World) -> None:
    volumes = world.volumes("renewal")
    path = configure(world, volumes, [mx()], profile="default")
    assert run(volumes, "issue") == 0
    first, wanted = served(volumes), load(path).certificates[0]

    early = issuer_at(volumes, timedelta(days=59))
    assert early.reason(wanted) is None
    assert early.attempt(wanted) is None
    assert served(volumes) == first

    late = issuer_at(volumes, timedelta(days=61))
    assert "to be renewed" in str(late.reason(wanted))
    assert late.attempt(wanted) is None
    second = served(volumes)
    assert second.id > first.id
    assert facts(second.chain).serial != facts(first.chain).serial
    assert (second.path / "key.pem").read_bytes() == (first.path / "key.pem").read_bytes()
    assert tlsa_is_right(world, volumes)


def test_names_issuer_and_profile_reissue(world: World) -> None:
    volumes = world.volumes("reissue")
    path = configure(world, volumes, [mx()])
    assert run(volumes, "issue") == 0
    first = served(volumes)

    configure(world, volumes, [mx("mx.brand.example")])
    assert run(volumes, "issue") == 0
    second = served(volumes)
    assert facts(second.chain).names == ("mx.brand.example", MX)
    assert facts(second.chain).spki_sha256 == facts(first.chain).spki_sha256

    configure(world, volumes, [mx("mx.brand.example")], profile="shortlived")
    assert run(volumes, "issue") == 0
    third = facts(served(volumes).chain)
    assert third.not_after - third.not_before < timedelta(days=7)
    assert len(load(path).certificates) == 1


def test_a_lost_tlsa_record_is_restored(world: World) -> None:
    volumes = world.volumes("tlsa")
    configure(world, volumes, [mx()])
    assert run(volumes, "issue") == 0
    delete_tlsa(world)
    assert not tlsa_is_right(world, volumes)
    assert run(volumes, "issue") == 0
    assert tlsa_is_right(world, volumes)


def test_http_01_without_dynamic_dns(world: World) -> None:
    volumes = world.volumes("http")
    world.start_web(volumes.challenge)
    challenge = {"type": "http-01", "directory": str(volumes.challenge)}
    names = ["mta-sts.corp.example", "mta-sts.brand.example"]
    configure(world, volumes, [policy(1, *names)], challenge=challenge, tlsa=None)
    assert run(volumes, "issue") == 0
    assert facts(served(volumes, "policy", "policy-1").chain).names == tuple(sorted(names))
    assert [path for path in volumes.challenge.rglob("*") if path.is_file()] == []


def test_a_lost_account_file_is_found_by_its_key(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    volumes = world.volumes("account")
    path = configure(world, volumes, [mx()])
    assert run(volumes, "issue") == 0
    before = json.loads(capsys.readouterr().out.splitlines()[-1])["account"]
    directory = paths(volumes).account(world.directory)
    (directory / "account.json").unlink()
    values = json.loads(path.read_text())
    values["certificates"] = [mx("mx.brand.example")]
    values["contact"] = ["mailto:other@corp.example"]
    path.write_text(json.dumps(values))
    assert run(volumes, "issue") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["account"] == before
