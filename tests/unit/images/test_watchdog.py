"""The watchdog's script with servers and checks that misbehave; its clock runs 50 times as fast."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

WATCHDOG = Path(__file__).parents[3] / "images/watchdog"
QUICK = {
    "sleep": '#!/bin/sh\nexec /usr/bin/env -i /bin/sleep "0.0$1"\n',
    # As it is called: -s KILL, seconds, the command.
    "timeout": '#!/bin/sh\nsignal=$2; shift 3\nexec /usr/bin/timeout -s "$signal" 0.5 "$@"\n',
}
FOREVER = "exec tail -f /dev/null"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the quick commands; the others are added by each case."""
    for name, text in QUICK.items():
        put(tmp_path, name, text)
    return tmp_path


def put(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.write_text(text if text.startswith("#!") else f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def start(folder: Path, server: str, check: str) -> subprocess.Popen[str]:
    """The watchdog over a server and a check, both shell scripts with the folder as their own."""
    put(folder, "server", server)
    put(folder, "check", check)
    return subprocess.Popen(
        [WATCHDOG, "check now", "server", "a b"],
        cwd=folder,
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end(process: subprocess.Popen[str]) -> tuple[int, list[dict[str, str]]]:
    """Exit code and events. The output ends only when nothing that writes to it is left."""
    try:
        output, _ = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    events = [json.loads(line) for line in output.splitlines()]
    assert all(event.pop("at") for event in events)
    return process.returncode, events


WATCHING = {
    "event": "watching",
    "level": "info",
    "what": "the watchdog watches the server",
    "check": "check now",
}
COUNT = "echo >>checks; checks() { wc -l <checks; }; "
# The server ends with 3 by itself when it was checked often enough.
UNTIL_CHECKED = "until [ -e enough ]; do /bin/sleep 0.01; done; exit 3"


@pytest.mark.parametrize(
    "check",
    [
        pytest.param("[ $(checks) -lt 20 ] || touch enough", id="well"),
        pytest.param(
            "[ $(checks) -lt 35 ] || touch enough; [ $(checks) -gt 29 ]", id="a slow start"
        ),
        pytest.param(
            "[ $(checks) -lt 20 ] || touch enough; [ $(($(checks) % 2)) -eq 1 ]",
            id="never twice in a row",
        ),
        pytest.param('[ $(checks) -lt 9 ] || touch enough; [ "$*" = now ]', id="its words"),
    ],
)
def test_a_server_that_passes_is_left_alone(folder: Path, check: str) -> None:
    assert end(start(folder, UNTIL_CHECKED, COUNT + check)) == (3, [WATCHING])


@pytest.mark.parametrize(
    ("server", "check", "failures"),
    [
        pytest.param(FOREVER, "[ $(checks) -lt 4 ]", 2, id="fails after it passed"),
        pytest.param(FOREVER, f"[ $(checks) -lt 4 ] || {FOREVER}", 2, id="hangs after it passed"),
        pytest.param(FOREVER, "exit 1", 30, id="never up"),
        pytest.param("trap '' TERM INT; kill -STOP $$", "[ $(checks) -lt 2 ]", 2, id="stopped"),
    ],
)
def test_a_server_that_fails_is_killed(
    folder: Path, server: str, check: str, failures: int
) -> None:
    code, events = end(start(folder, server, COUNT + check))
    assert code == 128 + signal.SIGKILL
    alert = {
        "event": "alert",
        "level": "error",
        "what": "the server does not answer",
        "reason": f"its check (check now) failed {failures} times in a row",
        "next": "it is killed, and the container ends, to be started again",
    }
    assert events == [alert] if failures > 2 else [WATCHING, alert]


def test_a_check_that_hangs_ends_with_its_children(folder: Path) -> None:
    hang = "tail -f /dev/null & echo $! >>children; wait"
    code, _ = end(start(folder, FOREVER, f"{COUNT} [ $(checks) -lt 2 ] || {{ {hang}; }}"))
    assert code == 128 + signal.SIGKILL
    children = (folder / "children").read_text().split()
    assert len(children) == 2
    assert [pid for pid in children if runs(pid)] == []


def runs(pid: str) -> bool:
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


LONG = "i=0; while [ $i -lt 100 ]; do /bin/sleep 0.01; i=$((i+1)); done; "


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    ("at_end", "code"),
    [
        ("exit 0", 0),
        ("exit 7", 7),
        # It answers no more, and that is no reason to kill it.
        pytest.param(f"{LONG} exit 0", 0, id="long"),
    ],
)
def test_a_signal_is_passed_on(
    folder: Path, number: signal.Signals, at_end: str, code: int
) -> None:
    server = f"trap '{at_end}' TERM; touch up; while :; do /bin/sleep 0.01; done"
    check = """
        [ $(checks) -gt 1 ] || exit 0
        [ ! -e sent ] || exit 1
        until [ -e up ] && [ -e pid ]; do /bin/sleep 0.01; done
        touch sent
        kill -"$(cat number)" "$(cat pid)"
    """
    process = start(folder, server, COUNT + check)
    (folder / "number").write_text(str(int(number)))
    (folder / "new").write_text(str(process.pid))
    (folder / "new").rename(folder / "pid")
    assert end(process) == (code, [WATCHING])


def test_the_server_has_its_arguments_and_its_code(folder: Path) -> None:
    assert end(start(folder, '[ "$#/$1" = "1/a b" ] && exit 5', "exit 1")) == (5, [])
