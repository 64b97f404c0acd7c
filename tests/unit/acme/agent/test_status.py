"""What the commands say of the volumes, without network."""

from __future__ import annotations

import fcntl
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.unit.acme.acme_parts import MX, STS, Parts, settings
from tests.unit.acme.acme_pki import NOW
from tlsgate.acme.__main__ import main
from tlsgate.acme.agent.status import faults, result
from tlsgate.acme.config.ca import Ca, Fallback

CONFIG = settings(MX, STS)
DAY = timedelta(days=1)


def issued(parts: Parts) -> Parts:
    for wanted in CONFIG.certificates:
        assert parts.renewer(CONFIG).attempt(wanted) is None
    return parts


def beat(parts: Parts, at: datetime) -> None:
    parts.paths.heartbeat.touch()
    os.utime(parts.paths.heartbeat, (at.timestamp(), at.timestamp()))


def test_nothing_yet(tmp_path: Path) -> None:
    assert result(CONFIG, Parts(tmp_path).paths) == {"account": None, "certificates": []}


def test_result_is_the_same_after_a_renewal_and_another_key(tmp_path: Path) -> None:
    """So no renewal is ever drift."""
    parts = issued(Parts(tmp_path))
    account = parts.paths.account(CONFIG.directory)
    account.mkdir(parents=True)
    uri = "https://ca.example/account/1"
    values = {"directory": CONFIG.directory, "uri": uri, "contact": []}
    (account / "account.json").write_text(json.dumps(values))
    first = result(CONFIG, parts.paths)
    assert first == {
        "account": "https://ca.example/account/1",
        "certificates": [
            {
                "name": wanted.name,
                "names": list(wanted.names),
                "issuer": "https://ca.example/dir",
            }
            for wanted in (MX, STS)
        ],
    }
    before = parts.served()
    parts.now = NOW + 70 * DAY
    issued(parts)
    assert parts.served() != before
    assert result(CONFIG, parts.paths) == first
    (parts.served().path / "key.pem").unlink()
    issued(parts)
    assert parts.served().key().public_key() != before.key().public_key()
    assert result(CONFIG, parts.paths) == first


def test_a_second_ca_that_stands_in_is_no_drift(tmp_path: Path) -> None:
    """It is what the configuration says as well, and it is left again at the next renewal."""
    parts = issued(Parts(tmp_path))
    first = Ca("https://first.example/dir")
    fallback = Fallback(CONFIG.directory)
    config = replace(CONFIG, directory=first.directory, fallback=fallback)
    entries = result(config, parts.paths)["certificates"]
    assert isinstance(entries, list)
    assert [entry["issuer"] for entry in entries] == 2 * [first.directory]


def test_another_name_or_issuer_is_seen(tmp_path: Path) -> None:
    """What is served counts, not what is wanted."""
    parts = issued(Parts(tmp_path))
    wanted = replace(MX, names=("other.example",))
    config = settings(wanted, directory="https://other.example/dir")
    assert result(config, parts.paths)["certificates"] == [
        {
            "name": MX.name,
            "names": list(MX.names),
            "issuer": CONFIG.directory,
        }
    ]


@pytest.mark.parametrize(
    ("later", "heartbeat", "words"),
    [
        (0 * DAY, timedelta(seconds=-60), []),
        (0 * DAY, timedelta(minutes=-7), ["the agent's loop has not run for 420 s"]),
        (0 * DAY, None, ["the agent's loop has not run yet"]),
        # Renewal is due at 60 days: 15 days later something is wrong, with 15 more to fix it.
        (74 * DAY, timedelta(0), []),
        (
            76 * DAY,
            timedelta(0),
            [
                f"certificate {name} ends at 2027-02-23 12:00:00 UTC and was not renewed"
                for name in (MX.name, STS.name)
            ],
        ),
    ],
)
def test_health(
    tmp_path: Path, later: timedelta, heartbeat: timedelta | None, words: list[str]
) -> None:
    parts = issued(Parts(tmp_path))
    now = NOW + later
    if heartbeat is not None:
        beat(parts, now + heartbeat)
    assert faults(CONFIG, parts.paths, now) == words


def test_unhealthy_without_a_certificate(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    assert parts.renewer(CONFIG).attempt(MX) is None
    beat(parts, NOW)
    assert faults(CONFIG, parts.paths, NOW) == [f"certificate {STS.name} is missing"]


@pytest.fixture
def places(tmp_path: Path) -> list[str]:
    """The options that say where the volumes are."""
    return [
        *("--config", str(tmp_path / "config/agent.json")),
        *("--state", str(tmp_path / "acme")),
        *("--keys", str(tmp_path / "keys")),
    ]


def write_config(parts: Parts) -> None:
    parts.paths.config.parent.mkdir()
    values = {
        "directory": CONFIG.directory,
        "challenge": {"type": "http-01", "directory": str(parts.root)},
        "certificates": [{"name": MX.name, "volume": "mx", "names": MX.names}],
    }
    parts.paths.config.write_text(json.dumps(values))


def test_show_prints_one_line(
    tmp_path: Path, places: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    parts = issued(Parts(tmp_path, now=datetime.now(UTC)))
    capsys.readouterr()
    assert main(["show", *places]) == 1
    assert "agent.json: cannot be read: No such file" in capsys.readouterr().err
    write_config(parts)
    assert main(["show", *places]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert [entry["name"] for entry in json.loads(line)["certificates"]] == [MX.name]


def test_the_lock_is_waited_for_with_a_bound(
    tmp_path: Path, places: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    parts = Parts(tmp_path)
    write_config(parts)
    parts.paths.state.mkdir()
    with parts.paths.lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert main(["issue", "--wait", "0.3", *places]) == 1
    output = capsys.readouterr()
    assert json.loads(output.out)["event"] == "waiting"
    assert "the agent, or another `up`, has held" in output.err
    assert "What to do: look at the agent's log" in output.err


def test_what_a_person_asks_and_is_told(
    tmp_path: Path, places: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    parts = issued(Parts(tmp_path, now=datetime.now(UTC)))
    write_config(parts)
    capsys.readouterr()

    def said(*arguments: str) -> str:
        assert main([*arguments, *places]) == 0
        return capsys.readouterr().out

    assert said("renew", MX.name) == f"{MX.name}: is renewed now and keeps its key.\n"
    assert said("look", MX.name) == f"{MX.name}: the CA is now asked when to renew it.\n"
    told = said("rotate", MX.name, "--now")
    assert told == f"{MX.name}: the roll-over of its key continues at step key.\n"
    assert "  roll-over step key (a person asked for it)\n" in said("status")
    (entry,) = json.loads(said("status", "--json"))["certificates"]
    assert entry["rollover"]["waits_for"] == "the agent to make the next key"
    assert "is cancelled" in said("undo", MX.name)
    assert main(["renew", "other.example", *places]) == 1
    assert "is not the name of a certificate" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["rotate", *places])


def test_a_state_volume_that_cannot_be_written(
    tmp_path: Path, places: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    parts = issued(Parts(tmp_path, now=datetime.now(UTC)))
    write_config(parts)
    parts.paths.state.rename(tmp_path / "away")
    assert main(["renew", MX.name, *places]) == 1
    assert "the state volume cannot be used" in capsys.readouterr().err
