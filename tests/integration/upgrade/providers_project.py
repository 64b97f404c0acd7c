"""A Pulumi project with one resource of each of the dynamic providers, on real counterparts.

Files are written to a volume, a job runs in a container, a generation is delivered to a policy
host's volume (the host does not run), and records are sent to a name server.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.models.containers import Container

from tests.integration.dns.knot_server import Knot, key_text
from tlsgate_pulumi.engine import archive

REPOSITORY = Path(__file__).parents[3]
LABELS = {"tlsgate.dev": "upgrade-tests"}
VOLUMES = ("files", "data", "config")
PROGRAM = """\
import importlib.metadata
import json
import platform
from pathlib import Path

import pulumi
from tlsgate.dns.records import Record
from tlsgate_pulumi.delivery import Delivery, DeliveryArgs
from tlsgate_pulumi.dns import DnsRecords, DnsRecordsArgs
from tlsgate_pulumi.job import Job, JobArgs
from tlsgate_pulumi.settings import Endpoint
from tlsgate_pulumi.volume_files import VolumeFiles, VolumeFilesArgs

NGINX = "pid /run/tlsgate/nginx.pid;\\nerror_log stderr;\\nevents {}\\n"

given = json.loads(Path("given.json").read_text())
run, word, image = given["run"], given["word"], given["image"]
common = {"image": image, "labels": given["labels"]}
python = ["python3", "-c"]
VolumeFiles(
    "files",
    VolumeFilesArgs(
        volume=f"{run}-files", files={"word": word}, secrets={"key": "wide.key"}, **common
    ),
)
job = Job(
    "job",
    JobArgs(
        name=f"{run}-job",
        command=[*python, f"open('/data/word', 'w').write('{word}'); print('\\"{word}\\"')"],
        read_command=[*python, "import json; print(json.dumps(open('/data/word').read()))"],
        delete_command=[*python, "open('/data/word', 'w').write('deleted')"],
        volumes={"/data": f"{run}-data"},
        writable=frozenset({"/data"}),
        user="0",
        **common,
    ),
)
Delivery(
    "delivery",
    DeliveryArgs(
        kind="nginx",
        volume=f"{run}-config",
        server=f"{run}-server",
        user="10001:10001",
        files={"nginx.conf": f"# {word}\\n{NGINX}", "https.conf": ""},
        **common,
    ),
)
DnsRecords(
    "records",
    DnsRecordsArgs(
        [Record(f"{run}.corp.example", "TXT", 300, (word,))],
        sink="rfc2136",
        server=Endpoint(given["server"], 53),
        zones=["corp.example"],
        tsig_key_file="wide.key",
    ),
)
pulumi.export("job", job.result)
version = ".".join(platform.python_version_tuple()[:2])
pulumi.export("by", [version, importlib.metadata.version("pulumi")])
"""


@dataclass(frozen=True, slots=True)
class ProvidersProject:
    """The project's folder. `run`: the prefix of the names of all that it creates."""

    directory: Path
    run: str
    image: str
    client: docker.DockerClient
    knot: Knot

    def lay_out(self) -> None:
        """Write the project, and create the volumes that the resources write to."""
        (self.directory / "state").mkdir(parents=True)
        (self.directory / "Pulumi.yaml").write_text("name: providers\nruntime: python\n")
        (self.directory / "__main__.py").write_text(PROGRAM)
        (self.directory / "wide.key").write_text(key_text(self.knot.wide))
        for name in VOLUMES:
            self.client.volumes.create(f"{self.run}-{name}", labels=LABELS)

    def give(self, word: str) -> None:
        """Set the content of the files, the job, the generation and the records."""
        given = {
            "run": self.run,
            "word": word,
            "image": self.image,
            "labels": LABELS,
            "server": self.knot.address,
        }
        (self.directory / "given.json").write_text(json.dumps(given))

    def pulumi(self, programs: Path, *arguments: str, stdin: str | None = None) -> str:
        """Run the CLI with the Python in this folder; it must succeed; return its output."""
        done = subprocess.run(
            ["pulumi", *arguments, "--stack", "dev", "--non-interactive"],
            cwd=self.directory,
            env=self._environment(programs),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def outputs(self, programs: Path) -> dict[str, Any]:
        """Return the stack's outputs."""
        return dict(json.loads(self.pulumi(programs, "stack", "output", "--json")))

    def state(self, programs: Path) -> dict[str, Any]:
        """Return the whole state."""
        return dict(json.loads(self.pulumi(programs, "stack", "export")))

    def held(self, volume: str, path: str) -> str:
        """Return a file of a volume."""
        with self._holder(volume) as container:
            stream, _ = container.get_archive(f"/held/{path}")
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
            file = tar.extractfile(tar.getmembers()[0])
            assert file is not None, f"{path} is no file"
            return file.read().decode()

    def change(self, volume: str, path: str, text: str) -> None:
        """Change a file directly."""
        with self._holder(volume) as container:
            container.put_archive("/held", archive({path: text.encode()}))

    @contextmanager
    def _holder(self, volume: str) -> Iterator[Container]:
        mounts = {f"{self.run}-{volume}": {"bind": "/held", "mode": "rw"}}
        container = self.client.containers.create(self.image, volumes=mounts, labels=LABELS)
        try:
            yield container
        finally:
            container.remove(force=True, v=True)

    def remove(self) -> None:
        """Remove what is left on the engine."""
        for container in self.client.containers.list(all=True, filters={"name": self.run}):
            container.remove(force=True, v=True)
        for name in VOLUMES:
            self.client.volumes.get(f"{self.run}-{name}").remove()

    def _environment(self, programs: Path) -> Mapping[str, str]:
        made = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'components'}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PULUMI_HOME": str(self.directory / "home"),
            "PULUMI_BACKEND_URL": f"file://{self.directory}/state",
            "PULUMI_CONFIG_PASSPHRASE": "x",
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }
        made.pop("VIRTUAL_ENV", None)
        return made
