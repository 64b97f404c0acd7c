"""Events: one form for all containers, and no name that the table does not have."""

from __future__ import annotations

import ast
import io
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tlsgate.events import EVENTS, Level, emit, listening, printed_on
from tlsgate.render.mta_sts import PolicySettings
from tlsgate.render.policy_host import PolicyHostSettings, render_policy_host

ROOT = Path(__file__).parents[2]
REPORTERS = {"emit", "report", "_report"}


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_has_its_fields_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    emit("due", certificate="mx", reason="ä" * 2)
    emit("alert", what="it broke", reason="because", next="soon", more=[1])
    out = capsys.readouterr().out
    assert out.isascii()
    due, alert = lines(out)
    assert [*due] == ["event", "at", "level", "what", "certificate", "reason"]
    assert (due["level"], due["what"]) == ("info", "a certificate must be ordered")
    assert [*alert] == ["event", "at", "level", "what", "more", "reason", "next"]
    assert (alert["level"], alert["what"]) == ("error", "it broke")
    at = datetime.fromisoformat(str(due["at"]))
    assert at.utcoffset() == timedelta()
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)


def test_a_name_that_is_not_in_the_table_is_a_defect() -> None:
    with pytest.raises(KeyError):
        emit("certificat")


def test_listeners_get_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    heard: list[Mapping[str, object]] = []
    with listening(heard.append):
        emit("stopped")
    emit("stopped")
    assert heard == lines(capsys.readouterr().out)[:1]


def test_a_command_prints_events_beside_its_answer(capsys: pytest.CaptureFixture[str]) -> None:
    other = io.StringIO()
    with printed_on(other):
        emit("stopped")
    emit("stopped")
    assert len(lines(other.getvalue())) == len(lines(capsys.readouterr().out)) == 1


def calls() -> Iterator[tuple[str, str, set[str]]]:
    """Where, the event's name, and the fields that are given."""
    for path in sorted((ROOT / "tlsgate").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            name = node.args[0]
            if called in REPORTERS and isinstance(name, ast.Constant):
                fields = {keyword.arg or "**" for keyword in node.keywords}
                yield f"{path.relative_to(ROOT)}:{node.lineno}", str(name.value), fields


def test_every_event_is_in_the_table_with_what_its_level_demands() -> None:
    found = list(calls())
    wrong = [f"{place}: {name} is not in EVENTS" for place, name, _ in found if name not in EVENTS]
    for place, name, fields in found:
        needed = {"reason", "next"} if EVENTS[name][0] is not Level.INFO else set()
        needed |= {"what"} if name == "alert" else set()
        wrong += [f"{place}: {name} has no {field}" for field in sorted(needed - fields)]
    assert wrong == []
    watchdog = (ROOT / "images/watchdog").read_text()
    others = [*re.findall(r"event (\w+) (\w+) what", watchdog), nginx_event()]
    assert all(EVENTS[name][0] == level for name, level in others)
    assert {name for _, name, _ in found} | {name for name, _ in others} == set(EVENTS)


def nginx_event() -> tuple[str, str]:
    """Name and level of what the policy host's nginx prints for each request."""
    policy = PolicySettings("enforce", 604800, ("mx1.corp.example",))
    files = render_policy_host(PolicyHostSettings(("corp.example",), policy))
    (log_format,) = re.findall(r"log_format events escape=json (.+?);", files["nginx.conf"], re.S)
    line = "".join(re.findall(r"'(.*?)'", log_format))
    values = json.loads(re.sub(r"\$(status|body_bytes_sent)", "1", line))
    assert [*values][:4] == ["event", "at", "level", "what"]
    assert values["what"] == EVENTS[values["event"]][1]
    return values["event"], values["level"]


def test_the_documentation_has_the_same_table() -> None:
    text = (ROOT / "docs/operating.md").read_text()
    rows = re.findall(r"^\| `([a-z-]+)` \| (\w+) \|", text, re.M)
    assert rows == [(name, level.value) for name, (level, _) in sorted(EVENTS.items())]


def test_nobody_else_prints_json_lines_of_events() -> None:
    found = [p.name for p in (ROOT / "tlsgate").rglob("*.py") if '"event":' in p.read_text()]
    assert sorted(found) == ["events.py", "policy_host.py"]
