"""A tiny Pulumi project that publishes record sets; home, state and key file under tmp_path."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.integration.dns.knot_server import Knot, key_text
from tlsgate.dns.records import Record
from tlsgate.dns.tsig import TsigKey

REPOSITORY = Path(__file__).parents[3]
PROGRAM = """\
import pulumi
from tlsgate_pulumi.dns import DnsRecords, DnsRecordsArgs
from tlsgate_pulumi.settings import Endpoint
from tlsgate.dns.records import Record
{before}
made = DnsRecords("records", DnsRecordsArgs({arguments}))
pulumi.export("records", made.records)
"""


class RecordsProject:
    """A project with a stack `dev`, whose records go to `knot`."""

    def __init__(self, directory: Path, knot: Knot) -> None:
        if shutil.which("pulumi") is None:
            pytest.fail("no `pulumi` on PATH: run `make setup` and use its environment")
        self.directory = directory
        self.knot = knot
        self.key_file = directory / "wide.key"
        self.use_key(knot.wide)
        (directory / "state").mkdir()
        (directory / "Pulumi.yaml").write_text("name: records\nruntime: python\n")
        self.ok("stack", "init", "dev")

    def use_key(self, key: TsigKey) -> None:
        """Write the key file."""
        self.key_file.write_text(key_text(key))

    def program(self, wanted: Sequence[Record], before: str = "", **changed: Any) -> None:
        """Replace the program; `before`: code above the records' own; `changed` are other
        arguments of DnsRecordsArgs, as code.
        """
        arguments = {
            "records": f"{list(wanted)!r}",
            "sink": "'rfc2136'",
            "server": f"Endpoint({self.knot.address!r}, 53)",
            "zones": "['corp.example', 'brand.example']",
            "tsig_key_file": repr(str(self.key_file)),
        } | changed
        listed = ", ".join(f"{name}={code}" for name, code in arguments.items())
        (self.directory / "__main__.py").write_text(PROGRAM.format(before=before, arguments=listed))

    def run(self, *arguments: str) -> tuple[bool, str]:
        """Run the CLI; return whether it succeeded, and its output."""
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.directory,
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "PYTHONPATH": str(REPOSITORY),
                "PULUMI_HOME": str(self.directory / "home"),
                # Set by the environment that `make setup` writes, it would win over Pulumi.yaml.
                "PULUMI_BACKEND_URL": f"file://{self.directory}/state",
                "PULUMI_CONFIG_PASSPHRASE": "x",
                "PULUMI_SKIP_UPDATE_CHECK": "1",
                "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode == 0, done.stdout + done.stderr

    def ok(self, *arguments: str) -> str:
        """Run a command that must succeed; return its output."""
        worked, said = self.run(*arguments)
        assert worked, said
        return said

    def failing(self, *arguments: str) -> str:
        """Run a command that must fail; return its output."""
        worked, said = self.run(*arguments)
        assert not worked, said
        return said

    def up(self) -> str:
        """Deploy without a preview."""
        return self.ok("up", "--yes", "--skip-preview")

    def failing_up(self) -> str:
        """Deploy without a preview; it must fail."""
        return self.failing("up", "--yes", "--skip-preview")

    def state(self) -> str:
        """Return the whole state as it is stored."""
        (file,) = (self.directory / "state").rglob("stacks/**/dev.json")
        return file.read_text()
