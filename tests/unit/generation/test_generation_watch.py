from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.generation.test_generation_certificate import OTHER, issue, pem
from tests.unit.generation.test_generation_install import paths, prepare  # noqa: F401
from tlsgate.files import link_target, point
from tlsgate.generation.in_force import lacks_certificate, verdict
from tlsgate.generation.install import install
from tlsgate.generation.manifest import Refused
from tlsgate.generation.paths import Paths
from tlsgate.generation.servers import ServerProgram
from tlsgate.generation.watch import STARTING_SECONDS, Watcher

HOST = "mx.example"
MAIN = f"myhostname = {HOST}\nsmtpd_tls_chain_files = /run/tlsgate/tls/{HOST}.pem\n"


class Server:
    """A program that counts its reloads, and refuses what the test names."""

    def __init__(self, paths: Paths, kind: str = "postfix") -> None:  # noqa: F811
        self.paths = Paths(paths.config, paths.keys, paths.run, paths.config.parent / "state")
        self.reloads = 0
        self.refuses: str | None = None
        self.staged_for: list[tuple[str, str | None]] = []
        self.program = ServerProgram(
            kind, prepare, self._stage, self._check, self._reload, self._tidy, 25
        )

    def _stage(self, _paths: Paths, directory: Path) -> None:
        if self.refuses == "stage":
            raise Refused("it cannot be made")
        in_force = link_target(self.paths.active)
        self.staged_for.append((directory.name, in_force))

    def _tidy(self, _paths: Paths) -> None:
        if self.refuses == "tidy":
            raise Refused("a session goes on")

    def _check(self, _paths: Paths) -> None:
        if self.refuses == "check":
            raise Refused("it does not like it")

    def _reload(self, _paths: Paths) -> None:
        if self.refuses == "reload":
            raise Refused("it is not there yet")
        self.reloads += 1

    def deliver(self, routes: str = "r", main: str = MAIN, https: str = "") -> str:
        files = {"main.cf": main, "routes": routes}
        if https:
            files["https.conf"] = https
        directory = self.paths.config.parent / "incoming"
        for old in directory.iterdir():
            old.unlink()
        for name, text in files.items():
            (directory / name).write_text(text)
        point_before = self.paths.active.readlink() if self.paths.active.is_symlink() else None
        name = install(self.paths, self.program, directory).generation
        # The job has a /run of its own.
        if point_before is None:
            self.paths.active.unlink(missing_ok=True)
        else:
            point(self.paths.active, point_before)
        return name

    def certify(self, number: int, key: str = "", chain: str = "", name: str = HOST) -> str:
        directory = self.paths.keys / name / "generations" / str(number)
        directory.mkdir(parents=True)
        content = (key or pem(), chain or issue(HOST))
        (directory / "key.pem").write_text(content[0])
        (directory / "fullchain.pem").write_text(content[1])
        point(self.paths.keys / name / "current", Path("generations") / str(number))
        return "".join(content)

    def staged(self) -> str:
        return self.paths.staged(HOST).read_text()

    def active(self) -> str:
        return self.paths.active_id.read_text().strip()

    def start(self) -> Watcher:
        watcher = Watcher(self.paths, self.program)
        assert watcher.start()
        watcher.step()
        self.reloads = 0
        return watcher


@pytest.fixture
def server(paths: Paths) -> Server:  # noqa: F811
    return Server(paths)


def alerts(capsys: pytest.CaptureFixture[str]) -> list[str]:
    lines = map(json.loads, capsys.readouterr().out.splitlines())
    return [f"{e['what']}: {e['reason']}" for e in lines if e["event"] == "alert"]


def test_start_stages_and_does_not_reload(server: Server) -> None:
    name, staged = server.deliver(), server.certify(1)
    watcher = Watcher(server.paths, server.program)
    assert watcher.start()
    assert server.active() == name
    assert server.paths.active.resolve() == (server.paths.generations / name).resolve()
    assert server.staged() == staged
    assert server.paths.staged(HOST).stat().st_mode & 0o777 == 0o600
    assert (server.paths.run / "tls").stat().st_mode & 0o777 == 0o700
    watcher.step()
    assert server.reloads == 0


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lambda s: s.paths.current.unlink(), "no generation to serve"),
        (lambda s: (s.paths.current / "routes").write_text("x"), "changed since"),
        (lambda s: (s.paths.keys / HOST / "current").unlink(), f"no certificate {HOST}"),
        (lambda s: s.certify(2, key=pem(OTHER)), "does not belong"),
    ],
)
def test_start_fails_closed(
    server: Server,
    capsys: pytest.CaptureFixture[str],
    break_it: Callable[[Server], object],
    reason: str,
) -> None:
    server.deliver()
    server.certify(1)
    break_it(server)
    assert not Watcher(server.paths, server.program).start()
    assert reason in "\n".join(alerts(capsys))
    assert not server.paths.active.exists()


def test_start_falls_back_to_the_last_good_generation(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    good = server.deliver()
    server.certify(1)
    server.start()
    bad = server.deliver(routes="r2")
    (server.paths.generations / bad / "routes").write_text("edited")
    for leftover in (server.paths.active, server.paths.active_id):
        leftover.unlink()  # a new container has a new tmpfs
    assert Watcher(server.paths, server.program).start()
    assert server.active() == good
    assert f"generation {bad} refused" in "\n".join(alerts(capsys))


def test_a_new_generation_is_taken_up_once(server: Server) -> None:
    server.deliver()
    server.certify(1)
    watcher = server.start()
    new = server.deliver(routes="r2")
    watcher.step()
    watcher.step()
    assert (server.active(), server.reloads) == (new, 1)


def test_a_repaired_generation_is_taken_up_again(server: Server) -> None:
    server.deliver()
    server.certify(1)
    watcher = server.start()
    (server.paths.current / "routes.lmdb").write_text("edited")
    server.deliver()
    watcher.step()
    assert server.reloads == 1


def test_a_bad_generation_is_refused_once(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    good = server.deliver()
    server.certify(1)
    watcher = server.start()
    bad = server.deliver(routes="r2")
    (server.paths.current / "routes").write_text("edited")
    for _ in range(3):
        watcher.step()
    assert alerts(capsys) == [f"generation {bad} refused: changed since it was installed: routes"]
    assert json.loads(server.paths.refused.read_text())["generation"] == bad
    assert (server.active(), server.reloads) == (good, 0)
    server.deliver(routes="r2")
    watcher.step()
    assert (server.active(), server.reloads) == (bad, 1)
    assert not server.paths.refused.exists()


def test_a_renewed_certificate_is_staged(server: Server) -> None:
    server.deliver()
    server.certify(1)
    watcher = server.start()
    renewed = server.certify(2)
    watcher.step()
    watcher.step()
    assert (server.staged(), server.reloads) == (renewed, 1)


@pytest.mark.parametrize(
    ("key", "chain", "reason"),
    [
        (pem(OTHER), issue(HOST), "does not belong"),
        (pem(), issue(HOST, end=-1), "expired"),
        (pem(), issue("other.example"), "mismatch"),
        (pem(), "nothing", "cannot be used"),
    ],
)
def test_a_bad_certificate_is_refused(
    server: Server, capsys: pytest.CaptureFixture[str], key: str, chain: str, reason: str
) -> None:
    server.deliver()
    staged = server.certify(1)
    watcher = server.start()
    server.certify(2, key, chain)
    for _ in range(3):
        watcher.step()
    [alert] = alerts(capsys)
    assert reason in alert
    assert (server.staged(), server.reloads) == (staged, 0)


def test_a_bad_generation_does_not_keep_a_renewed_certificate_out(server: Server) -> None:
    server.deliver()
    server.certify(1)
    watcher = server.start()
    server.deliver(main=MAIN.replace(HOST, "mx2.example"))
    renewed = server.certify(2)
    watcher.step()
    assert (server.staged(), server.reloads) == (renewed, 1)


def test_what_a_generation_needs_is_made_before_it_is_switched_to(server: Server) -> None:
    first = server.deliver()
    server.certify(1)
    watcher = server.start()
    second = server.deliver(routes="r2")
    watcher.step()
    assert server.staged_for == [(first, None), (second, first)]


@pytest.mark.parametrize("part", ["check", "stage"])
def test_what_the_server_does_not_like_is_undone(
    server: Server, capsys: pytest.CaptureFixture[str], part: str
) -> None:
    good = server.deliver()
    staged = server.certify(1)
    watcher = server.start()
    server.refuses = part
    bad = server.deliver(routes="r2")
    server.certify(2)
    watcher.step()
    reason = {"check": "it does not like it", "stage": "it cannot be made"}[part]
    assert alerts(capsys) == [f"generation {bad} refused: {reason}"]
    assert server.paths.active.readlink().name == good
    assert (server.staged(), server.reloads) == (staged, 0)


def test_a_reload_is_tried_until_it_succeeds(server: Server) -> None:
    old = server.deliver()
    server.certify(1)
    watcher = server.start()
    server.refuses = "reload"
    new = server.deliver(routes="r2")
    watcher.step()
    assert server.active() == old
    server.refuses = None
    watcher.step()
    assert (server.active(), server.reloads) == (new, 1)


def test_a_reload_may_fail_while_the_server_starts(
    server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No alert then; one if it goes on, and one more if it happens again."""
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    server.deliver()
    server.certify(1)
    watcher = server.start()
    for routes in ("r2", "r3"):
        server.refuses = "reload"
        server.deliver(routes=routes)
        said = []
        for passed in (0.0, STARTING_SECONDS, 1.0, 1.0):
            clock[0] += passed
            watcher.step()
            said.append(capsys.readouterr().out.count("reload failed"))
        assert said == [0, 0, 1, 0]
        server.refuses = None
        watcher.step()


def test_a_restarted_watcher_goes_on(server: Server) -> None:
    server.deliver()
    server.certify(1)
    server.start()
    new = server.deliver(routes="r2")
    watcher = Watcher(server.paths, server.program)
    assert watcher.start()
    watcher.step()
    assert (server.active(), server.reloads) == (new, 1)


def test_the_policy_host_starts_without_certificates(paths: Paths) -> None:  # noqa: F811
    server = Server(paths, kind="nginx")
    https = (
        f"server {{\n server_name {HOST};\n ssl_certificate /run/tlsgate/tls/policy-1.pem;\n}}\n"
    )
    server.deliver(https=https)
    watcher = server.start()
    assert not paths.https.exists()
    server.certify(1, name="policy-1")
    watcher.step()
    assert paths.https.read_text() == f"include {paths.active}/https.conf;\n"
    assert server.reloads == 1
    # From now on a generation whose certificate is not there yet has to wait.
    server.deliver(https=https.replace("policy-1", "policy-2"))
    watcher.step()
    assert (paths.https.exists(), server.reloads) == (True, 1)


def test_a_domain_more_waits_for_its_certificate_and_says_that_it_does(
    paths: Paths,  # noqa: F811
) -> None:
    server = Server(paths, kind="nginx")

    def https(*names: str) -> str:
        block = f"server_name {' '.join(names)};\n ssl_certificate /run/tlsgate/tls/policy-1.pem;"
        return f"server {{\n {block}\n}}\n"

    first = server.deliver(https=https(HOST))
    watcher = server.start()
    server.certify(1, name="policy-1")
    watcher.step()
    more = server.deliver(https=https(HOST, "more.example"))
    watcher.step()
    assert verdict(server.paths, more)[0]
    assert lacks_certificate(server.paths, more)
    assert not lacks_certificate(server.paths, first)
    assert server.paths.active.readlink().name == first

    server.certify(2, chain=issue(HOST, "more.example"), name="policy-1")
    watcher.step()
    assert server.paths.active.readlink().name == more
    assert verdict(server.paths, more) == (True, "")
    assert not lacks_certificate(server.paths, more)


def test_a_generation_that_is_bad_in_itself_lacks_no_certificate(server: Server) -> None:
    server.deliver()
    server.certify(1)
    watcher = server.start()
    bad = server.deliver(main=MAIN + "# more\n")
    server.refuses = "check"
    watcher.step()
    assert verdict(server.paths, bad)[1] != ""
    assert not lacks_certificate(server.paths, bad)


def test_sessions_that_cannot_be_ended_are_told(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.deliver()
    server.certify(1)
    watcher = server.start()
    server.refuses = "tidy"
    watcher.step()
    watcher.step()
    assert alerts(capsys) == ["sessions of an older generation go on: a session goes on"]


@pytest.mark.parametrize("content", [b"", b"../x\n", b"\0\xff", b"0123456789abcdeg\n"])
def test_a_damaged_name_of_the_last_generation_is_told_and_not_followed(
    server: Server, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    assert server.paths.state is not None
    server.paths.state.write_bytes(content)
    assert not Watcher(server.paths, server.program).start()
    known, none = events(capsys)
    assert known["what"] == "the last generation in force is not known"
    assert known["reason"] == f"{server.paths.state} is damaged"
    assert none["what"] == "no generation to serve"


def test_volumes_that_cannot_be_read_at_the_start_are_told(
    server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, a link that could not be read counted as none."""

    def fails(_path: Path) -> Path:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "readlink", fails)
    assert not Watcher(server.paths, server.program).start()
    (alert,) = events(capsys)
    assert (alert["what"], alert["level"]) == ("the volumes cannot be read", "error")
    assert "Input/output error" in alert["reason"]


def test_every_alert_says_what_happens_next(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not Watcher(server.paths, server.program).start()
    (alert,) = events(capsys)
    assert [*alert] == ["event", "at", "level", "what", "reason", "next"]
    assert alert["next"].startswith("The container ends and is started again.")


def events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]
