"""`tlsgate certificates`: which container runs which command, and errors if none can."""

from __future__ import annotations

import importlib
import sys
from types import SimpleNamespace
from typing import Any

import docker
import pytest

from tlsgate.cli import main

Capture = pytest.CaptureFixture[str]


class EngineWithAgents:
    """An engine with an agent for each stack; `answer`: exit status, output and errors."""

    def __init__(self, *stacks: str) -> None:
        self.containers = self
        self.asked: list[tuple[str, list[str]]] = []
        self.answer: tuple[int, bytes | None, bytes | None] = (0, b"done\n", None)
        self._agents = {stack: SimpleNamespace(labels={"tlsgate.stack": stack}) for stack in stacks}
        for stack, agent in self._agents.items():
            agent.exec_run = self._run(f"tlsgate-{stack}-agent")

    def get(self, name: str) -> Any:
        for stack, agent in self._agents.items():
            if name == f"tlsgate-{stack}-agent":
                return agent
        raise docker.errors.NotFound(f"No such container: {name}")

    def list(self, filters: dict[str, list[str]]) -> list[Any]:
        assert "tlsgate.role=agent" in filters["label"]
        wanted = [one for one in filters["label"] if one.startswith("tlsgate.stack=")]
        return [
            agent
            for stack, agent in self._agents.items()
            if not wanted or wanted == [f"tlsgate.stack={stack}"]
        ]

    def close(self) -> None:
        """There is nothing to close."""

    def _run(self, name: str) -> Any:
        def run(command: list[str], *, demux: bool) -> Any:
            assert demux
            assert command[:3] == ["python3", "-m", "tlsgate.acme"]
            self.asked.append((name, command[3:]))
            code, *output = self.answer
            return SimpleNamespace(exit_code=code, output=output)

        return run


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> EngineWithAgents:
    monkeypatch.delenv("PULUMI_STACK", raising=False)
    return use(monkeypatch, EngineWithAgents("demo"))


def use(monkeypatch: pytest.MonkeyPatch, engine: EngineWithAgents) -> EngineWithAgents:
    monkeypatch.setattr(docker, "from_env", lambda timeout: engine)
    return engine


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["status"], ["status"]),
        (["status", "--json"], ["status", "--json"]),
        (["check", "mx1.a.example"], ["look", "--", "mx1.a.example"]),
        (["look", "mx1.a.example"], ["look", "--", "mx1.a.example"]),
        (["renew", "a", "b"], ["renew", "--", "a", "b"]),
        (["rotate", "a"], ["rotate", "--", "a"]),
        (["rotate", "--revoke", "--now", "a"], ["rotate", "--now", "--revoke", "--", "a"]),
        (["undo", "a"], ["undo", "--", "a"]),
        (["account-key"], ["account-key"]),
    ],
)
def test_the_only_agent_is_asked(
    engine: EngineWithAgents, capsys: Capture, arguments: list[str], asked: list[str]
) -> None:
    assert main(["certificates", *arguments]) == 0
    assert engine.asked == [("tlsgate-demo-agent", asked)]
    assert capsys.readouterr().out == "done\n"


def test_a_refusal_is_the_agents_own(engine: EngineWithAgents, capsys: Capture) -> None:
    engine.answer = (1, None, b"mx9: is not the name of a certificate\n")
    assert main(["certificates", "renew", "mx9"]) == 1
    assert capsys.readouterr() == ("", "mx9: is not the name of a certificate\n")


@pytest.mark.parametrize(
    ("options", "variable", "asked"),
    [
        (["--stack", "two"], None, "tlsgate-two-agent"),
        ([], "two", "tlsgate-two-agent"),
        (["--container", "tlsgate-one-agent"], None, "tlsgate-one-agent"),
        (["--container", "tlsgate-one-agent"], "two", "tlsgate-one-agent"),
    ],
)
def test_which_agent(
    monkeypatch: pytest.MonkeyPatch,
    engine: EngineWithAgents,
    options: list[str],
    variable: str | None,
    asked: str,
) -> None:
    many = use(monkeypatch, EngineWithAgents("one", "two"))
    if variable:
        monkeypatch.setenv("PULUMI_STACK", variable)
    assert main(["certificates", *options, "status"]) == 0
    assert [name for name, _ in many.asked] == [asked]


@pytest.mark.parametrize(
    ("stacks", "options", "words"),
    [
        ((), [], "No agent runs on this engine. Deploy the stack with `pulumi up`"),
        (("one",), ["--stack", "two"], "No agent of stack two runs on this engine."),
        (("one", "two"), [], "There are agents of several stacks: one, two. Choose one"),
        (
            ("one",),
            ["--container", "x"],
            "The Docker engine reports an error: No such container: x",
        ),
    ],
)
def test_no_agent_to_ask(
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
    stacks: tuple[str, ...],
    options: list[str],
    words: str,
) -> None:
    monkeypatch.delenv("PULUMI_STACK", raising=False)
    use(monkeypatch, EngineWithAgents(*stacks))
    assert main(["certificates", *options, "status"]) == 1
    assert words in capsys.readouterr().err


def test_without_the_docker_sdk(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """`tlsgate` does not depend on it; the other commands do not need it."""
    monkeypatch.setitem(sys.modules, "docker", None)
    importlib.invalidate_caches()
    assert main(["certificates", "status"]) == 1
    said = capsys.readouterr().err
    assert "needs the Docker SDK" in said
    assert "uv sync --group deploy" in said


def test_wrong_usage(capsys: Capture) -> None:
    for arguments in ([], ["rotate"], ["--stack", "a", "--container", "b", "status"]):
        with pytest.raises(SystemExit):
            main(["certificates", *arguments])
    assert "not allowed with argument" in capsys.readouterr().err
