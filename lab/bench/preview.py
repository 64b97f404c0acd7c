"""How long a preview takes with 10,000 partners in 2,000 files: new, changed, and refused.

It uses a separate stack in a separate state, and only previews: nothing is deployed. The state that
a change is compared with is written by this program; it contains only the delivered list.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import files
from lab.bench.line import line
from lab.commands import LabError, environment
from tlsgate.partners.format import canonical_json
from tlsgate.partners.load import load_partners

COMMAND = "python -m lab.bench preview"
STACK = "test-preview"
FILES, RECORDS = 2000, 5
LIMIT_SECONDS = 15.0
SECONDS = 300
POLICIES = ("--policy-pack", "policies", "--policy-pack-config", "policies/demo.json")
CONFIG = """\
config:
  tlsgate:domains: [corp.example]
  tlsgate:gateways: [{{name: mx1.corp.example, addresses: [192.0.2.3]}}]
  tlsgate:partners: {partners}
  tlsgate:internal: {{networks: [192.0.2.12/32], server: "mail.corp.example:25"}}
  tlsgate:acme: {{contact: ["mailto:a@corp.example"], challenge: http-01}}
  tlsgate:dns: {{sink: manual}}
  tlsgate:mtaSts: {{addresses: [192.0.2.4]}}
"""
RECORD = """\
name: Partner {number:05}
contact: postmaster@p{number:05}.example
agreed: 2026-10-01
review: 2099-10-01
domains: [p{number:05}.example]
outbound:
  mx: [.mx{number:05}.example]
"""
ROOT = f"urn:pulumi:{STACK}::tlsgate::"
STACK_TYPE, GATEWAY, LIST = (
    "pulumi:pulumi:Stack",
    "tlsgate:index:MailGateway",
    "tlsgate:index:PartnerList",
)
DELIVERY = "pulumi-python:dynamic/tlsgate:Delivery"
PROVIDER = "pulumi:providers:pulumi-python"


def measurements() -> Iterator[dict[str, Any]]:
    """Seconds each, and the size of the list in the state."""
    with tempfile.TemporaryDirectory() as folder:
        bench = _Bench(Path(folder))
        yield _line("preview-10000-partners", bench.preview())
        yield line("state-10000-partners", bench.record_list() / 1e6, "MB", 30, COMMAND)
        bench.loosen(1)
        yield _line("preview-10000-partners-one-weakened", bench.preview())
        yield _line("preview-10000-partners-policies", bench.preview(*POLICIES))
        bench.loosen(2)
        yield _line("preview-10000-partners-refused", bench.preview(refused=True))


def _line(name: str, seconds: float) -> dict[str, Any]:
    return line(name, seconds, "s", LIMIT_SECONDS, COMMAND)


@dataclass(frozen=True, slots=True)
class _Bench:
    folder: Path

    def __post_init__(self) -> None:
        (self.folder / "backend").mkdir()
        self._partners.mkdir()
        for number in range(FILES):
            records = range(number * RECORDS, (number + 1) * RECORDS)
            text = "---\n".join(RECORD.format(number=one) for one in records)
            (self._partners / f"partners-{number:04}.yaml").write_text(text)
        self._config.write_text(CONFIG.format(partners=self._partners))
        self._pulumi("stack", "init", STACK, "--no-select")

    @property
    def _partners(self) -> Path:
        return self.folder / "partners"

    @property
    def _config(self) -> Path:
        return self.folder / f"Pulumi.{STACK}.yaml"

    def preview(self, *options: str, refused: bool = False) -> float:
        """Return how long a preview takes; raise if its result is not the expected one."""
        begun = time.monotonic()
        config = ("--config-file", str(self._config))
        code, said = self._run("preview", "--stack", STACK, *config, *options)
        seconds = time.monotonic() - begun
        if ("removes or weakens" in said) != refused or (code != 0) != refused:
            raise LabError(f"the preview did not end as it should:\n{said[-3000:]}")
        return seconds

    def loosen(self, partners: int) -> None:
        """Allow more names to the first partner of each of some files."""
        for number in range(partners):
            file = self._partners / f"partners-{number:04}.yaml"
            old = f"[.mx{number * RECORDS:05}.example]"
            file.write_text(file.read_text().replace(old, "[.provider.example]"))

    def record_list(self) -> int:
        """Write the list to the state as delivered; return the state's size in bytes."""
        listed = canonical_json(load_partners(self._partners))
        text = json.dumps(_deployment(listed))
        self._pulumi("stack", "import", "--stack", STACK, stdin=text)
        return len(text)

    def _pulumi(self, *arguments: str, stdin: str | None = None) -> None:
        code, said = self._run(*arguments, stdin=stdin)
        if code != 0:
            raise LabError(f"`pulumi {' '.join(arguments)}` failed:\n{said}")

    def _run(self, *arguments: str, stdin: str | None = None) -> tuple[int, str]:
        own = {"PULUMI_BACKEND_URL": f"file://{self.folder / 'backend'}"}
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=files.REPOSITORY,
            env={**os.environ, **environment(), **own},
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return done.returncode, done.stdout


def _deployment(listed: str) -> dict[str, Any]:
    """A state with a delivered list: its resource and the parents of that."""
    root = f"{ROOT}{STACK_TYPE}::tlsgate-{STACK}"
    gateway = f"{ROOT}{GATEWAY}::gateway"
    partner_list = f"{ROOT}{GATEWAY}${LIST}::gateway-partners"
    provider = f"{ROOT}{PROVIDER}::default"
    inputs = {"files": {"partners.json": listed}, "kind": "postfix", "volume": "none"}
    return {
        "version": 3,
        "deployment": {
            "manifest": {"time": "2026-01-01T00:00:00Z", "magic": "", "version": ""},
            "resources": [
                _resource(root, STACK_TYPE),
                _resource(provider, PROVIDER, id="bench", custom=True),
                _resource(gateway, GATEWAY, parent=root),
                _resource(partner_list, LIST, parent=gateway),
                _resource(
                    f"{ROOT}{GATEWAY}${LIST}${DELIVERY}::gateway-partner-list",
                    DELIVERY,
                    id="none",
                    custom=True,
                    parent=partner_list,
                    provider=f"{provider}::bench",
                    inputs=inputs,
                    outputs=inputs,
                ),
            ],
        },
    }


def _resource(urn: str, type_: str, **more: Any) -> Mapping[str, Any]:
    return {"urn": urn, "type": type_, "custom": False, **more}
