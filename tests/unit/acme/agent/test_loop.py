"""The loop: what it looks at, what it leaves alone, and how it ends."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.acme.acme_parts import MX, STS, Parts
from tests.unit.acme.acme_pki import NOW
from tlsgate.acme.agent.loop import Agent
from tlsgate.acme.config.agent_json import Config
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.process import Busy, Stop, Stopped, locked
from tlsgate.acme.renewal.renewer import Renewer
from tlsgate.problems import ProblemsError

Capture = pytest.CaptureFixture[str]


def write_config(parts: Parts, *wanted: Any, **values: object) -> None:
    path = parts.paths.config
    path.parent.mkdir(exist_ok=True)
    certificates = [
        {"name": one.name, "volume": one.volume, "names": one.names, "tlsa": one.tlsa}
        for one in wanted
    ]
    config = {
        "directory": "https://ca.example/dir",
        "challenge": {"type": "http-01", "directory": str(parts.root)},
        "certificates": certificates,
        **values,
    }
    path.write_text(json.dumps(config))


def agent(parts: Parts, stop: Stop | None = None) -> Agent:
    def build(config: Config, *_: object) -> Renewer:
        return parts.renewer(config)

    return Agent(parts.paths, lambda: parts.now, stop or Stop(), build)


def events(capsys: Capture) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_orders_what_is_due_and_takes_up_a_new_configuration(
    tmp_path: Path, capsys: Capture
) -> None:
    parts = Parts(tmp_path)
    write_config(parts, MX)
    running = agent(parts)
    running.look()
    running.look()
    assert parts.orders == [MX.names]
    write_config(parts, MX, STS)
    running.look()
    assert parts.orders == [MX.names, STS.names]
    assert [event["event"] for event in events(capsys)] == [
        "due",
        "switch",
        "certificate",
        "renewal-info",
        "config",
        "due",
        "switch",
        "certificate",
    ]


def test_a_refused_configuration_is_said_once_and_the_old_one_stays(
    tmp_path: Path, capsys: Capture
) -> None:
    parts = Parts(tmp_path)
    write_config(parts, MX)
    running = agent(parts)
    write_config(parts, STS, unknown=1)
    for _ in range(3):
        running.look()
    assert parts.orders == [MX.names]
    alerts = [event for event in events(capsys) if event["event"] == "alert"]
    assert [alert["what"] for alert in alerts] == ["the new agent.json is refused"]
    assert "unknown" in alerts[0]["reason"]
    write_config(parts, STS)
    running.look()
    assert parts.orders == [MX.names, STS.names]


def test_nothing_to_start_with(tmp_path: Path) -> None:
    with pytest.raises(ProblemsError, match="cannot be read"):
        agent(Parts(tmp_path))


def test_waits_after_a_failure_and_through_a_restart(tmp_path: Path, capsys: Capture) -> None:
    parts = Parts(tmp_path, fault=AcmeFault("no", "wait"))
    write_config(parts, MX, STS)
    for minutes, orders in [(0, 2), (0, 2), (0.9, 2), (1, 4), (10, 4), (11, 6), (110, 6), (111, 8)]:
        parts.now = NOW + timedelta(minutes=minutes)
        agent(parts).look()
        assert len(parts.orders) == orders, minutes
    alerts = [event for event in events(capsys) if event["event"] == "alert"]
    assert len(alerts) == 8
    parts.fault = None
    parts.now = NOW + timedelta(days=2)
    agent(parts).look()
    assert parts.renewer().reason(MX) is None


def test_records_that_are_not_right_are_said_once_as_long_as_they_are(
    tmp_path: Path, capsys: Capture
) -> None:
    parts = Parts(tmp_path)
    write_config(parts, MX)
    running = agent(parts)
    running.look()
    for fault in (AcmeFault("DNS is down", ""), None, AcmeFault("DNS is down", "")):
        parts.publish_fault = fault
        running.look()
        running.look()
    alerts = [event for event in events(capsys) if event["event"] == "alert"]
    what = f"certificate {MX.name} is served, but its records are not right"
    assert [alert["what"] for alert in alerts] == [what, what]
    assert parts.orders == [MX.names]


def test_a_job_that_holds_the_lock_is_left_alone(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    write_config(parts, MX)
    running = agent(parts)
    with parts.paths.lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        running.look()
        assert parts.orders == []
    running.look()
    assert parts.orders == [MX.names]


def test_a_state_volume_that_is_gone_is_an_alert(tmp_path: Path, capsys: Capture) -> None:
    parts = Parts(tmp_path)
    write_config(parts, MX)
    running = agent(parts)
    parts.paths.state.rename(tmp_path / "away")
    running.look()
    running.look()
    assert [event["what"] for event in events(capsys)] == ["the state volume cannot be used"]
    (tmp_path / "away").rename(parts.paths.state)
    running.look()
    assert parts.orders == [MX.names]


def test_sigterm_ends_the_loop_between_two_certificates(tmp_path: Path, capsys: Capture) -> None:
    parts, stop = Parts(tmp_path), Stop()
    write_config(parts, MX, STS)

    def sign(names: Any, key: Any) -> bytes:
        os.kill(os.getpid(), signal.SIGTERM)
        return parts.ca.sign(names, key)

    parts.sign = sign
    before = signal.getsignal(signal.SIGTERM)
    with stop.listening():
        agent(parts, stop).run()
    assert signal.getsignal(signal.SIGTERM) is before
    assert [event["event"] for event in events(capsys)] == [
        "agent",
        "due",
        "switch",
        "certificate",
        "stopped",
    ]
    assert parts.orders == [MX.names]
    assert parts.paths.heartbeat.exists()


def test_a_wait_ends_when_the_process_is_told_to() -> None:
    stop = Stop()
    stop.pause(0)
    timer = threading.Timer(0.05, stop.set)
    timer.start()
    with pytest.raises(Stopped):
        stop.pause(60)
    timer.join()


def test_one_holds_the_lock(tmp_path: Path) -> None:
    told: list[str] = []
    path, stop = tmp_path / "lock", Stop()
    with locked(path, 0, stop.pause, lambda: told.append("first")):
        with (
            pytest.raises(Busy),
            locked(path, 0.3, stop.pause, lambda: told.append("second")),
        ):
            raise AssertionError("both hold it")
        with pytest.raises(Busy), locked(path, 0, stop.pause, lambda: told.append("third")):
            raise AssertionError("both hold it")
    with locked(path, 0, stop.pause, lambda: told.append("fourth")):
        assert told == ["second"]


def test_says_how_it_is_for_the_health_check(tmp_path: Path) -> None:
    """In a file, so that the check itself costs next to nothing."""
    parts = Parts(tmp_path, fault=AcmeFault("no", "wait"))
    write_config(parts, MX)
    running = agent(parts)
    running.look()
    assert parts.paths.heartbeat.read_text() == f"certificate {MX.name} is missing\n"
    parts.fault = None
    parts.now = NOW + timedelta(minutes=1)
    running.look()
    assert parts.paths.heartbeat.read_text() == "healthy\n"
    parts.now, parts.fault = NOW + timedelta(days=80), AcmeFault("no", "wait")
    running.look()
    assert "and was not renewed" in parts.paths.heartbeat.read_text()


def test_a_volume_that_fails_is_told_and_nothing_is_ordered(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, a certificate that could not be read was one that is missing."""
    parts = Parts(tmp_path)
    write_config(parts, MX)
    running = agent(parts)
    running.look()
    running.look()
    orders = list(parts.orders)
    real = Path.read_bytes

    def fails(path: Path) -> bytes:
        if path.suffix == ".json" and parts.paths.config != path:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path)

    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", fails)
        for _ in range(2):
            running.look()
        (alert,) = events(capsys)
        assert alert["what"] == "the state volume cannot be used"
        assert "Input/output error" in parts.paths.heartbeat.read_text()
        with pytest.raises(Stopped):
            sleep_and_stop(running)
    assert parts.orders == orders
    agent(parts).look()
    assert [event["event"] for event in events(capsys)] == []
    assert parts.paths.heartbeat.read_text() == "healthy\n"


def sleep_and_stop(running: Agent) -> None:
    running._stop.set()
    running._sleep()
