"""`tlsgate queue` from the engine to the terminal: commands, output and exit status."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import docker
import pytest

from tests.unit.queue.gateway_words import LOG, QUEUE
from tlsgate.cli import main
from tlsgate.commands import queue as command
from tlsgate.partners.format import canonical_json
from tlsgate.partners.model import Inbound, Mode, Outbound, Partner
from tlsgate.queue.text import relative

Capture = pytest.CaptureFixture[str]
NOW = datetime(2026, 11, 27, 17, 0, tzinfo=UTC)
SECRET = "sender@corp.example"


def partner(name: str, *domains: str, outbound: Outbound = Outbound()) -> Partner:  # noqa: B008
    day = date(2026, 10, 1)
    contact = f"postmaster@{domains[0]}"
    return Partner(
        name=name,
        contact=contact,
        agreed=day,
        review=day,
        mode=Mode.ENFORCE,
        domains=domains,
        subdomains=True,
        outbound=outbound,
        inbound=Inbound(),
    )


PARTNERS = [
    partner("Expired AG", "expired.example", "plain.example"),
    partner("Forged Ltd", "forged.example"),
    partner("Slow \x1b[2J", "slow.example"),
    partner("Calm", "calm.example"),
]


class Stream:
    """What `logs` gives: chunks that do not end where lines do."""

    def __init__(self, text: bytes) -> None:
        self._chunks = iter([text[i : i + 1000] for i in range(0, len(text), 1000)])
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        self.closed = True


@dataclass
class Gateway:
    """A gateway's container; `answers`: the first word of a command → exit status, output."""

    name: str = "tlsgate-demo-gateway"
    labels: dict[str, str] = field(default_factory=lambda: {"tlsgate.stack": "demo"})
    log: list[str] = field(default_factory=lambda: list(LOG))
    log_fault: Exception | None = None
    answers: dict[str, tuple[int, str]] = field(default_factory=dict)
    since: float = 0.0
    stream: Stream | None = None

    def exec_run(self, command: list[str], *, demux: bool) -> Any:
        assert demux
        code, text = self.answers[command[0]]
        output = (text.encode(), None) if code == 0 else (None, text.encode())
        return SimpleNamespace(exit_code=code, output=output)

    def logs(self, *, since: float, **options: bool) -> Stream:
        wanted = {"stdout": True, "stderr": False, "stream": True, "follow": False}
        assert options == {**wanted, "timestamps": True}
        if self.log_fault:
            raise self.log_fault
        self.since = since
        self.stream = Stream("".join(f"{line}\n" for line in self.log).encode())
        return self.stream


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Gateway:
    """The gateway whose output is in this folder, at a fixed time."""
    found = Gateway(
        answers={
            "postqueue": (0, "".join(f"{line}\n" for line in QUEUE)),
            "postconf": (0, "4000s\n5d\n5d\n"),
            "cat": (0, canonical_json(PARTNERS)),
            "sh": (0, "82745CA4FB 1795802000.0000000000\n84955CA4FE 1795798313.5000000000\n"),
        }
    )

    def listed(filters: dict[str, list[str]]) -> list[Gateway]:
        assert filters["label"][0] == "tlsgate.role=gateway"
        return [found]

    containers = SimpleNamespace(list=listed)
    engine = SimpleNamespace(containers=containers, close=lambda: None)
    monkeypatch.delenv("PULUMI_STACK", raising=False)
    monkeypatch.setattr(docker, "from_env", lambda timeout: engine)
    monkeypatch.setattr(command, "utc_now", lambda: NOW)
    return found


def held(capsys: Capture, *options: str) -> tuple[int, dict[str, Any]]:
    status = main(["queue", "--json", *options])
    said = capsys.readouterr()
    assert said.err == ""
    return status, json.loads(said.out)


def test_json(gateway: Gateway, capsys: Capture) -> None:
    status, said = held(capsys)
    assert status == 1
    assert said["time"] == "2026-11-27T17:00:00Z"
    assert said["container"] == "tlsgate-demo-gateway"
    assert said["log"] == {"since": "2026-11-27T14:46:40Z", "fault": None}
    assert gateway.since == (NOW - timedelta(seconds=8000)).timestamp()
    assert gateway.stream is not None
    assert gateway.stream.closed
    names = [group["partner"] for group in said["groups"]]
    assert names == ["Expired AG", "Forged Ltd", "Slow \x1b[2J", None]
    first = said["groups"][0]
    assert first["contact"] == "postmaster@expired.example"
    expired, plain = first["entries"]
    assert expired == {
        "domain": "expired.example",
        "messages": 8,
        "recipients": 8,
        "held": True,
        "since": "2026-11-27T16:51:31Z",
        "until": "2026-12-02T16:51:31Z",
        "last_attempt": "2026-11-27T16:51:53Z",
        "next_attempt": "2026-11-27T17:53:20Z",
        "server": "mx.expired.example[172.18.0.8]:25",
        "reason": {
            "code": "dates",
            "text": "the certificate of mx.expired.example [172.18.0.8], or one above it, is"
            " expired or not yet valid (certificate has expired)",
            "remedy": "install a certificate of a public CA and renew it by itself (ACME)",
            "whose": "theirs",
            "exact": True,
        },
        "postfix": [
            expired["postfix"][0],
            "server certificate verification failed for mx.expired.example[172.18.0.8]:25:"
            " certificate has expired",
        ],
    }
    assert (plain["messages"], plain["recipients"]) == (2, 3)
    assert first["messages"] == 9, "one message to both domains counts once"


def test_for_people(gateway: Gateway, capsys: Capture) -> None:
    assert main(["queue"]) == 1
    said = capsys.readouterr().out
    assert said.startswith("13 messages to 3 partners and ")
    assert "Expired AG (postmaster@expired.example): 9 messages\n" in said
    assert "    since     2026-11-27T16:51:31Z (8 min 29 s ago)\n" in said
    assert "    until     2026-12-02T16:51:31Z (in 4 d 23 h): then it is returned" in said
    assert "    next try  not before 2026-11-27T17:53:20Z (in 53 min 20 s)\n" in said
    assert "    next try  due now\n" in said
    assert "DNS names mx.attacker.example [172.18.0.10]" in said
    assert "    to do     ask postmaster@forged.example to confirm over" in said
    assert "Not on the partner list: " in said
    assert "more lines like these: --all shows them" in said
    assert "\x1b" not in said
    assert "Slow \\x1b[2J" in said
    assert main(["queue", "--all"]) == 1
    assert "--all shows them" not in capsys.readouterr().out


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_addresses_only_on_request(
    gateway: Gateway, capsys: Capture, options: tuple[str, ...]
) -> None:
    main(["queue", *options])
    said = capsys.readouterr().out
    assert SECRET not in said
    assert "a@expired.example" not in said
    main(["queue", "--addresses", *options])
    said = capsys.readouterr().out
    assert SECRET in said
    assert "a@expired.example" in said


@pytest.mark.parametrize(
    ("options", "status", "domains"),
    [
        (("--partner", "forged ltd"), 1, {"forged.example"}),
        (("--partner", "Calm"), 0, set()),
        (("--domain", "Plain.Example"), 1, {"plain.example"}),
        (("--domain", "silent.example"), 0, {"silent.example"}),
        (("--partner", "Expired AG", "--domain", "plain.example"), 1, {"plain.example"}),
    ],
)
def test_filters(
    gateway: Gateway, capsys: Capture, options: tuple[str, ...], status: int, domains: set[str]
) -> None:
    code, said = held(capsys, *options)
    assert code == status
    assert {one["domain"] for group in said["groups"] for one in group["entries"]} == domains


@pytest.mark.parametrize(("minutes", "status"), [(4, 0), (6, 1)])
def test_mail_that_is_just_being_sent_is_not_held(
    gateway: Gateway,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    minutes: int,
    status: int,
) -> None:
    arrived = datetime(2026, 11, 27, 16, 51, 31, tzinfo=UTC)
    monkeypatch.setattr(command, "utc_now", lambda: arrived + timedelta(minutes=minutes))
    code, said = held(capsys, "--domain", "slow.example")
    assert code == status
    assert [group["entries"][0]["reason"]["code"] for group in said["groups"]] == ["waiting"]


def test_nothing_waits(gateway: Gateway, capsys: Capture) -> None:
    gateway.answers["postqueue"] = (0, "")
    assert main(["queue"]) == 0
    assert capsys.readouterr().out == "No message is waiting.\n"
    assert gateway.stream is None


def test_a_notice_has_its_own_lifetime(gateway: Gateway, capsys: Capture) -> None:
    message = json.loads(QUEUE[3]) | {"sender": ""}
    gateway.answers["postqueue"] = (0, json.dumps(message))
    gateway.answers["postconf"] = (0, "4000s\n5d\n1d\n")
    _, said = held(capsys)
    assert said["groups"][0]["entries"][0]["until"] == "2026-11-28T16:51:31Z"


def test_without_the_log_the_queue_speaks(gateway: Gateway, capsys: Capture) -> None:
    gateway.log = []
    main(["queue", "--domain", "expired.example"])
    said = capsys.readouterr().out
    assert "    Postfix   Server certificate not verified\n" in said
    assert (
        "    detail    no longer in the log: known after the next attempt"
        " (not before 2026-11-27T17:53:20Z (in 53 min 20 s))" in said
    )


def test_a_log_that_the_engine_does_not_give(gateway: Gateway, capsys: Capture) -> None:
    gateway.log_fault = docker.errors.APIError("configured logging driver does not support reading")
    assert main(["queue"]) == 1
    assert "does not support reading" in capsys.readouterr().err
    assert main(["queue", "--json"]) == 1
    assert "does not support reading" in json.loads(capsys.readouterr().out)["log"]["fault"]


@pytest.mark.parametrize(
    ("program", "answer", "words"),
    [
        ("postqueue", (69, "mail system is down\x1b"), "`postqueue -j` ended with 69 in the"),
        ("postqueue", (0, "{}\n"), "postqueue printed an object that is not a message"),
        ("postconf", (0, "4000s\n5d\n"), "postconf"),
        ("cat", (1, "No such file"), "`cat /run/tlsgate/active/partners.json` ended with 1"),
        ("cat", (0, "[{}]"), "is not a partner list of this version"),
    ],
)
def test_what_cannot_be_read(
    gateway: Gateway, capsys: Capture, program: str, answer: tuple[int, str], words: str
) -> None:
    gateway.answers[program] = answer
    assert main(["queue"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert words in said.err
    assert "\x1b" not in said.err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Nobody", "There is no partner `Nobody` in the gateway's list. See `tlsgate partners"),
        ("expired", "Did you mean `Expired AG`?"),
    ],
)
def test_an_unknown_partner(gateway: Gateway, capsys: Capture, name: str, words: str) -> None:
    assert main(["queue", "--partner", name]) == 2
    assert words in capsys.readouterr().err


def test_no_gateway(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    nothing = SimpleNamespace(list=lambda filters: [])
    engine = SimpleNamespace(containers=nothing, close=lambda: None)
    monkeypatch.setattr(docker, "from_env", lambda timeout: engine)
    assert main(["queue", "--stack", "x"]) == 2
    assert "No gateway of stack x runs on this engine." in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "docker", None)
    assert main(["queue"]) == 2
    assert "needs the Docker SDK" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "now"),
        (0.4, "now"),
        (-5, "5 s ago"),
        (59.6, "in 1 min"),
        (-7500, "2 h 5 min ago"),
        (431_940, "in 4 d 23 h"),
        (86_400, "in 1 d"),
        (-90_061, "1 d 1 h ago"),
    ],
)
def test_relative(seconds: float, text: str) -> None:
    assert relative(timedelta(seconds=seconds)) == text
