"""How long a deployment takes: the demo, an `up` without change, an effective partner change.

Needs the lab and the demo's stack, and starts them if they do not run.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from lab import files
from lab.bench.line import line
from lab.bring_up import bring_up, engine
from lab.commands import GATEWAY, LabError, pulumi, up
from lab.driver import Lab, new_token

COMMAND = "python -m lab.bench deploy"
PEER, DOMAIN = "selfsigned", "selfsigned-free.example"
RECORD = """\
name: Bench Partner
contact: postmaster@selfsigned-free.example
agreed: 2026-10-01
review: 2027-10-01
mode: enforce
domains: [selfsigned-free.example]
subdomains: false
outbound:
  verify: pkix
inbound:
  require: tls
"""
WAIT_SECONDS = 60


def measurements() -> Iterator[dict[str, Any]]:
    """Each in seconds."""
    client = engine()
    bring_up(client)
    up(GATEWAY, client)
    yield line("demo-again", _seconds(_demo), "s", 60, "make demo")
    yield line("up-unchanged", _seconds(_up_unchanged), "s", 8, COMMAND)
    yield line("partner-change-live", _partner_change(Lab(client)), "s", 15, COMMAND)


def _seconds(work: Callable[[], None]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def _demo() -> None:
    done = subprocess.run([sys.executable, "-m", "lab.demo"], capture_output=True, check=False)
    if done.returncode != 0:
        raise LabError(f"the demo failed:\n{done.stdout.decode()[-2000:]}")


def _up_unchanged() -> None:
    said = pulumi(GATEWAY, "up", "--yes", "--skip-preview", "--suppress-outputs")
    if "unchanged" not in said or "created" in said or "updated" in said:
        raise LabError(f"`pulumi up` changed something:\n{said}")


def _partner_change(lab: Lab) -> float:
    """Seconds from the command to the first message that the new rule holds."""
    with tempfile.TemporaryDirectory() as folder:
        partners = Path(folder) / "partners"
        partners.mkdir()
        for record in (files.LAB / "partners").glob("*.yaml"):
            (partners / record.name).write_bytes(record.read_bytes())
        (partners / "bench-partner.yaml").write_text(RECORD)
        config = Path(folder) / "Pulumi.demo.yaml"
        yaml = YAML()
        values = yaml.load((files.REPOSITORY / "Pulumi.demo.yaml").read_text())
        values["config"]["tlsgate:partners"] = str(partners)
        yaml.dump(values, config)
        try:
            begun = time.monotonic()
            pulumi(GATEWAY, "up", "--yes", "--skip-preview", "--config-file", str(config))
            _await_held(lab)
            return time.monotonic() - begun
        finally:
            pulumi(GATEWAY, "up", "--yes", "--skip-preview")


def _await_held(lab: Lab) -> None:
    token = new_token()
    recipient = f"{token}@{DOMAIN}"
    lab.send([(token, recipient, "")])
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if any(one.recipient == recipient and one.reason for one in lab.queue()):
            return
        if lab.received(PEER, token):
            raise LabError("the message was sent under the old rule")
        time.sleep(0.1)
    raise LabError("the message was neither sent nor held")
