"""Renewals in a real CA's windows, and its nonces, authorizations and accounts."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from acme import messages

from lab.rotation import lost_by_pebble
from tests.integration.acme.acme_agent import (
    MX,
    configure,
    events,
    issuer_at,
    mx,
    paths,
    policy,
    run,
    served,
)
from tests.integration.acme.acme_world import Volumes, World
from tlsgate.acme.ca.account import Connector, account_uri
from tlsgate.acme.ca.renewal_info import certificate_id
from tlsgate.acme.certificate import facts
from tlsgate.acme.config.agent_json import load
from tlsgate.acme.renewal.decision import renewal_time
from tlsgate.acme.renewal.renewal_info import RenewalInfo

pytestmark = pytest.mark.integration
Capture = pytest.CaptureFixture[str]
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
STS = ("mta-sts.corp.example", "mta-sts.brand.example")


def now() -> datetime:
    return datetime.now(UTC)


def window(start: timedelta, end: timedelta) -> str:
    times = {"start": (now() + start).isoformat(), "end": (now() + end).isoformat()}
    return json.dumps({"suggestedWindow": times})


def first(world: World, name: str, **values: object) -> Volumes:
    """Volumes with the MX certificate in service."""
    volumes = world.volumes(name)
    configure(world, volumes, [mx()], **values)
    assert run(volumes, "issue") == 0
    order_again_what_pebble_lost(volumes)
    return volumes


def order_again_what_pebble_lost(volumes: Volumes) -> None:
    while lost_by_pebble(facts(served(volumes).chain).serial):
        (paths(volumes).certificate("mx", MX) / "current").unlink()
        assert run(volumes, "issue") == 0


def orders(capsys: Capture) -> list[dict[str, Any]]:
    return [event for event in events(capsys) if event["event"] in ("order", "order-repeated")]


def connector(volumes: Volumes) -> Connector:
    config = load(paths(volumes).config)
    return Connector(config, paths(volumes).account(config.directory), now)


def test_the_cas_own_window_is_kept(world: World, capsys: Capture) -> None:
    volumes = first(world, "own")
    chain = served(volumes).chain
    assert run(volumes, "issue") == 0
    kept = paths(volumes).renewals.read_text()
    chosen = RenewalInfo(paths(volumes).renewals, now).time(chain)
    found = facts(chain)
    middle = found.not_after - (found.not_after - found.not_before) / 3
    assert middle - 2 * DAY < chosen < middle + 2 * DAY
    orders(capsys)
    for _ in range(3):
        assert run(volumes, "issue") == 0
    assert paths(volumes).renewals.read_text() == kept
    assert orders(capsys) == []


def test_five_renewals_in_a_row_each_replaces_the_one_before(world: World, capsys: Capture) -> None:
    volumes = first(world, "five")
    orders(capsys)
    for _ in range(5):
        before = served(volumes)
        world.set_renewal_info(before.chain, window(-2 * HOUR, -HOUR))
        assert run(volumes, "issue") == 0
        assert [order["replaces"] for order in orders(capsys)] == [certificate_id(before.chain)]
        assert facts(served(volumes).chain).serial != facts(before.chain).serial
        order_again_what_pebble_lost(volumes)
        orders(capsys)
    assert run(volumes, "issue") == 0
    assert orders(capsys) == []


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("future", window(400 * DAY, 401 * DAY)),
        ("reversed", window(HOUR, -HOUR)),
        ("malformed", "{"),
        ("empty", "{}"),
    ],
)
def test_the_fall_back_rule_replaces_an_unusable_window(
    world: World, capsys: Capture, name: str, answer: str
) -> None:
    volumes = first(world, f"useless-{name}")
    found = facts(served(volumes).chain)
    world.set_renewal_info(served(volumes).chain, answer)
    assert run(volumes, "issue") == 0
    assert [event["chosen"] for event in events(capsys) if event["event"] == "renewal-info"] == [
        None
    ]
    wanted = load(paths(volumes).config).certificates[0]
    due = renewal_time(found.not_before, found.not_after, found.serial) - now()
    assert issuer_at(volumes, due - HOUR).reason(wanted) is None
    assert "to be renewed" in str(issuer_at(volumes, due + HOUR).reason(wanted))


@pytest.mark.parametrize("how", ["another account", "twice"])
def test_a_refused_replacement_is_ordered_without_it(
    world: World, capsys: Capture, how: str
) -> None:
    """403 for a certificate of another account, 409 for one that was already replaced."""
    volumes = first(world, f"refused-{how.replace(' ', '-')}")
    used, chain = paths(volumes), served(volumes).chain
    world.set_renewal_info(chain, window(-2 * HOUR, -HOUR))
    if how == "twice":
        old = served(volumes).path
        assert run(volumes, "issue") == 0
        current = used.certificate("mx", MX) / "current"
        current.unlink()
        current.symlink_to(f"generations/{old.name}")
    else:
        used.account(world.directory).rename(volumes.root / "another-account")
    orders(capsys)
    assert run(volumes, "issue") == 0
    said = orders(capsys)
    assert [event["event"] for event in said] == ["order-repeated", "order"]
    assert f"HTTP status {409 if how == 'twice' else 403}" in said[0]["reason"]
    assert said[1]["replaces"] is None
    assert served(volumes).chain != chain


@pytest.mark.parametrize("percent", ["0", "50"])
def test_nonces_are_rejected(world: World, percent: str) -> None:
    """In all other tests 20 percent are rejected."""
    with world.second_ca(PEBBLE_WFE_NONCEREJECT=percent) as directory:
        volumes = world.volumes(f"nonces-{percent}")
        (volumes.config / "extra-ca.pem").write_text(world.roots(world.second_address))
        configure(world, volumes, [mx(), policy(1, *STS)], directory=directory)
        assert run(volumes, "issue") == 0


@pytest.mark.parametrize("percent", ["0", "100"])
def test_authorizations_are_reused(world: World, capsys: Capture, percent: str) -> None:
    """Then nothing is published, so a TSIG key that is refused does not matter."""
    with world.second_ca(PEBBLE_AUTHZREUSE=percent) as directory:
        volumes = world.volumes(f"reuse-{percent}")
        (volumes.config / "extra-ca.pem").write_text(world.roots(world.second_address))
        certificates = [mx(), policy(1, *STS)]
        configure(world, volumes, certificates, directory=directory, profile="default", tlsa=None)
        assert run(volumes, "issue") == 0
        if percent == "100":
            wrong = 'key "agent" { algorithm hmac-sha256; secret "d3Jvbmc="; };'
            (volumes.config / "agent.tsig").write_text(wrong)
        before = served(volumes), served(volumes, "policy", "policy-1")
        wanted = load(paths(volumes).config).certificates
        later = issuer_at(volumes, 62 * DAY)
        for one in wanted:
            assert later.attempt(one) is None
        after = served(volumes), served(volumes, "policy", "policy-1")
        assert before[0].id < after[0].id
        assert before[1].id < after[1].id
        assert len(orders(capsys)) == 4


def test_a_second_ca_replaces_the_first(world: World, capsys: Capture) -> None:
    volumes = world.volumes("stand-in")
    with world.second_ca() as directory:
        roots = world.roots() + world.roots(world.second_address)
        (volumes.config / "extra-ca.pem").write_text(roots)
        fallback = {
            "directory": directory,
            "ca_file": str(volumes.config / "acme-ca.pem"),
            "after": 2,
        }
        broken = f"https://{world.ca_address}:14001/dir"
        configure(world, volumes, [mx()], directory=broken, fallback=fallback)
        assert [run(volumes, "issue") for _ in range(3)] == [1, 1, 0]
        assert served(volumes).meta.directory == directory
        shown = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert shown["account"] is None  # the first CA's
        assert shown["certificates"][0]["issuer"] == broken  # no drift
        assert account_uri(paths(volumes).account(directory)) is not None

        configure(world, volumes, [mx()], directory=broken, fallback=fallback)
        assert run(volumes, "issue") == 0
        assert served(volumes).meta.directory == directory


def test_accounts_exist_before_any_order(world: World, capsys: Capture) -> None:
    volumes = world.volumes("accounts")
    configure(world, volumes, [mx()])
    assert run(volumes, "accounts") == 0
    assert json.loads(capsys.readouterr().out) == {"accounts": [None]}
    assert run(volumes, "account") == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found == {"accounts": [account_uri(paths(volumes).account(world.directory))]}
    assert run(volumes, "issue") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["account"] == found["accounts"][0]


def test_the_account_key_is_changed(world: World, capsys: Capture) -> None:
    volumes = first(world, "account-key")
    folder = paths(volumes).account(world.directory)
    key, uri = (folder / "key.pem").read_bytes(), account_uri(folder)
    assert run(volumes, "account-key") == 0
    assert f"{uri} has a new key" in capsys.readouterr().out
    assert (folder / "key.pem").read_bytes() != key
    world.set_renewal_info(served(volumes).chain, window(-2 * HOUR, -HOUR))
    before = served(volumes)
    assert run(volumes, "issue") == 0
    assert served(volumes).id > before.id
    assert account_uri(folder) == uri


def test_a_deactivated_account_is_replaced(world: World, capsys: Capture) -> None:
    volumes = first(world, "deactivated")
    folder = paths(volumes).account(world.directory)
    uri = account_uri(folder)
    assert uri is not None
    server = connector(volumes).open()
    account = messages.RegistrationResource(body=messages.Registration(), uri=uri)
    server.protocol.deactivate_registration(account)

    world.set_renewal_info(served(volumes).chain, window(-2 * HOUR, -HOUR))
    before = served(volumes)
    orders(capsys)
    assert run(volumes, "issue") == 0
    assert served(volumes).id > before.id
    assert account_uri(folder) != uri
    assert len(list(folder.glob("key.pem.deactivated-*"))) == 1


def test_the_contact_is_changed_without_an_order(world: World, capsys: Capture) -> None:
    volumes = first(world, "contact")
    orders(capsys)
    contact = ["mailto:other@corp.example"]
    configure(world, volumes, [mx()], contact=contact)
    assert run(volumes, "issue") == 0
    assert orders(capsys) == []
    folder = paths(volumes).account(world.directory)
    account = messages.RegistrationResource(body=messages.Registration(), uri=account_uri(folder))
    found = connector(volumes).open().protocol.query_registration(account)
    assert list(found.body.contact) == contact


@pytest.mark.parametrize(
    ("step", "resumed"),
    [
        ("poll", {"ready"}),
        ("begin_finalization", {"ready"}),
        ("order", {"processing", "valid"}),
        ("download", {"valid"}),
    ],
)
def test_the_next_process_continues_an_order(
    world: World, capsys: Capture, monkeypatch: pytest.MonkeyPatch, step: str, resumed: set[str]
) -> None:
    """A process is killed before it has the chain: the same order gives the certificate."""
    volumes = world.volumes(f"resumed-{step}")
    configure(world, volumes, [mx()])

    class KilledError(BaseException):
        pass

    def killed(*_: object) -> str:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(f"tlsgate.acme.ca.client.Protocol.{step}", killed)
        with pytest.raises(KilledError):
            run(volumes, "issue")
    assert run(volumes, "issue") == 0
    said = orders(capsys)
    assert said[0]["uri"] == said[1]["uri"]
    assert len(said) == 2
    assert said[1]["resumed"] in resumed


def test_a_clock_that_is_ten_minutes_slow(world: World) -> None:
    volumes = world.volumes("slow")
    challenge = {"type": "http-01", "directory": str(volumes.challenge)}
    world.start_web(volumes.challenge)
    path = configure(world, volumes, [policy(1, *STS)], challenge=challenge, tlsa=None)
    wanted = load(path).certificates[0]
    assert issuer_at(volumes, timedelta(minutes=-10)).attempt(wanted) is None
    assert facts(served(volumes, "policy", "policy-1").chain).not_before > now() - HOUR
