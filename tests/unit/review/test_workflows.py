"""The ready-made workflows: what they may do, and that their scripts do it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.loopback import serves_on_loopback
from tests.unit.ci.workflow_files import ROOT, WORKFLOWS, steps, workflow
from tests.unit.partners.partner_files import record
from tests.unit.review.git_lists import ACME, ENVIRONMENT, Repository

pytestmark = serves_on_loopback

MARKER = "<!-- tlsgate partners diff -->"


PARTNERS = workflow(ROOT / ".github/workflows/partners.yml")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_expression_is_put_into_a_script_and_every_action_is_pinned(path: Path) -> None:
    found = list(steps(workflow(path)))
    assert found
    for step in found:
        assert "${{" not in step.get("run", "")
        if "uses" in step:
            assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"])


def test_jobs_with_the_rights_of_the_base_never_check_out_the_pull_request() -> None:
    assert list(PARTNERS["on"]) == ["pull_request_target"]
    checkouts = [step for step in steps(PARTNERS) if "checkout@" in step.get("uses", "")]
    assert len(checkouts) == 2
    for step in checkouts:
        assert step["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
    runs = "\n".join(step.get("run", "") for step in steps(PARTNERS))
    assert not re.search(r"git (checkout|switch|merge|pull|worktree)|secrets\.", runs)
    assert "secrets." not in (ROOT / ".github/workflows/partners.yml").read_text()


def test_each_job_has_only_the_rights_that_it_needs() -> None:
    assert PARTNERS["permissions"] == {} or PARTNERS["permissions"] == "{}"
    may = {name: job.get("permissions", {}) for name, job in PARTNERS["jobs"].items()}
    assert may == {
        "report": {"contents": "read"},
        "comment": {"contents": "read", "pull-requests": "write"},
        "verdict": {},
    }


def script(name: str) -> str:
    (found,) = [step["run"] for step in steps(PARTNERS) if step.get("name") == name]
    assert isinstance(found, str)
    return found


def bash(text: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text],
        check=False,
        cwd=folder,
        env={**ENVIRONMENT, **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("head", "code", "said"),
    [
        (ACME, "0", "no change"),
        (record(subdomains="false"), "3", "WEAKENED"),
        ("!!x {}", "1", "refused"),
    ],
)
def test_the_report_of_a_fork_s_pull_request(
    repository: Repository, tmp_path: Path, head: str, code: str, said: str
) -> None:
    base = repository.commit({"partners/acme.yaml": ACME})
    change = repository.commit({"partners/acme.yaml": head})
    repository.git("update-ref", "refs/pull/7/head", change)
    repository.git("update-ref", "refs/heads/main", base)
    clone = tmp_path / "clone"
    repository.git("clone", "--quiet", "--single-branch", str(tmp_path), str(clone))
    (clone / ".venv/bin").mkdir(parents=True)
    tlsgate = clone / ".venv/bin/tlsgate"
    tlsgate.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m tlsgate "$@"\n')
    tlsgate.chmod(0o755)
    given = {"BASE": base, "HEAD": change, "NUMBER": "7"}
    files = {name: str(clone / name) for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
    done = bash(script("Report"), clone, **given, **files)
    assert done.returncode == 0, done.stderr
    outputs = dict(
        line.split("=", 1) for line in Path(files["GITHUB_OUTPUT"]).read_text().splitlines()
    )
    report = (clone / "report.md").read_text()
    assert outputs["code"] == code
    assert said in report
    assert Path(files["GITHUB_STEP_SUMMARY"]).read_text() == report
    label = outputs["label"].removeprefix("weakening ")
    assert (len(label), label in report) == ((32, True) if code == "3" else (0, True))


@pytest.mark.parametrize(
    ("code", "wanted", "passes"),
    [
        ("0", "false", True),
        ("3", "false", False),
        ("3", "true", True),
        ("1", "true", False),
        ("", "false", False),
    ],
)
def test_the_verdict(tmp_path: Path, code: str, wanted: str, passes: bool) -> None:
    text = script("Nothing is weakened, or exactly this is wanted")
    done = bash(text, tmp_path, CODE=code, WANTED=wanted, LABEL="weakening 12")
    assert (done.returncode == 0) is passes
    assert done.stdout.startswith("::error::") is not passes


class Forge(BaseHTTPRequestHandler):
    """The comments of both forges' interfaces, and what was done to them."""

    comments: list[dict[str, Any]]
    calls: list[tuple[str, str, str]]

    def _answer(self, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        if self.path == "/user":
            self._answer({"id": 5, "username": "project_1_bot"})
            return
        page = int(self.path.rpartition("page=")[2])
        self._answer(self.comments[(page - 1) * 100 : page * 100])

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = json.loads(self.rfile.read(length))["body"]
        token = self.headers["Authorization"] or self.headers["PRIVATE-TOKEN"]
        assert token in ("Bearer secret", "secret")
        self.calls.append((self.command, self.path, body))
        self._answer({})

    do_PATCH = do_PUT = do_POST

    def log_message(self, format: str, *args: object) -> None:
        """Tests are quiet."""


@pytest.fixture
def forge() -> Iterator[str]:
    Forge.comments, Forge.calls = [], []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Forge)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def post(kind: str, url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "report.md").write_text("## Partner list: no change\n")
    env = {
        "github": {
            "GITHUB_API_URL": url,
            "GITHUB_REPOSITORY": "o/r",
            "NUMBER": "7",
            "GH_TOKEN": "secret",
        },
        "gitlab": {
            "CI_API_V4_URL": url,
            "CI_PROJECT_ID": "1",
            "CI_MERGE_REQUEST_IID": "7",
            "REPORT_TOKEN": "secret",
        },
    }[kind]
    text = f"exec {sys.executable} {ROOT}/ci/post_report.py {kind} report.md"
    return bash(text, folder, no_proxy="127.0.0.1", **env)


def comment(kind: str, number: int, author: str, body: str) -> dict[str, Any]:
    who = {"user": {"login": author}} if kind == "github" else {"author": {"username": author}}
    return {"id": number, "body": body, **who}


@pytest.mark.parametrize(
    ("kind", "author", "calls"),
    [
        (
            "github",
            "github-actions[bot]",
            [
                ("POST", "/repos/o/r/issues/7/comments"),
                ("PATCH", "/repos/o/r/issues/comments/9"),
            ],
        ),
        (
            "gitlab",
            "project_1_bot",
            [
                ("POST", "/projects/1/merge_requests/7/notes"),
                ("PUT", "/projects/1/merge_requests/7/notes/9"),
            ],
        ),
    ],
)
def test_only_our_own_comment_is_edited(
    forge: str, tmp_path: Path, kind: str, author: str, calls: list[tuple[str, str]]
) -> None:
    body = f"{MARKER}\n## Partner list: no change\n"
    others = [comment(kind, number, "mallory", f"{MARKER} all is well") for number in range(120)]
    Forge.comments = [*others, comment(kind, 8, author, "hello")]
    assert post(kind, forge, tmp_path).stdout == "report posted\n"
    Forge.comments.append(comment(kind, 9, author, f"{MARKER}\nold"))
    assert post(kind, forge, tmp_path).stdout == "report edited\n"
    assert Forge.calls == [(*call, body) for call in calls]


def test_an_unreachable_forge_is_reported_without_the_token(tmp_path: Path) -> None:
    done = post("github", "http://127.0.0.1:9", tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("post_report: ")
    assert "secret" not in done.stderr


def hooks(file: str) -> list[dict[str, Any]]:
    found = yaml.safe_load((ROOT / file).read_text())
    if isinstance(found, list):
        return found
    (local,) = found["repos"]
    return list(local["hooks"])


def test_the_hooks_name_commands_that_exist() -> None:
    own = hooks(".pre-commit-config.yaml")
    for hook in [*hooks(".pre-commit-hooks.yaml"), *own]:
        if not hook["id"].startswith("tlsgate-"):
            continue
        command = hook["entry"].partition("tlsgate ")[2].split()
        done = subprocess.run(
            [sys.executable, "-m", "tlsgate", *command, "--help"],
            check=False,
            cwd=ROOT,
            capture_output=True,
            timeout=30,
        )
        assert done.returncode == 0
        assert re.match(hook["files"], "partners/acme.yaml")


def test_our_own_hooks_run_the_locked_programs() -> None:
    own = hooks(".pre-commit-config.yaml")
    assert {hook["id"] for hook in own} == {
        "ruff-check",
        "ruff-format",
        "mypy",
        "tlsgate-partners-fmt",
        "tlsgate-partners-check",
    }
    for hook in own:
        assert hook["language"] == "system"
        words = hook["entry"].split()
        assert words[:4] == ["uv", "run", "--quiet", "--frozen"]
        assert (Path(sys.executable).parent / words[4]).is_file()
