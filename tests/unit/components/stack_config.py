"""A project folder with a stack's config, its files and partners, and its reported problems."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from ruamel.yaml import YAML

from tlsgate.problems import ProblemsError
from tlsgate_pulumi.inputs import Inputs, locator, parse_inputs, raw_values

FILE = "Pulumi.test.yaml"
CONFIG = """\
config:
  tlsgate:domains: [corp.example, brand.example]
  tlsgate:gateways:
    - name: mx1.corp.example
      addresses: [192.0.2.3]
  tlsgate:internal:
    networks: [192.0.2.12/32, "2001:db8::/64"]
    server: mail.lab.example:25
    tls: secure
  tlsgate:acme:
    directory: https://ca.lab.example:14000/dir
    contact: ["mailto:postmaster@corp.example"]
    caFile: acme-ca.pem
    eab: {keyId: kid-1, hmacKeyFile: eab.key}
  tlsgate:dns:
    server: 127.0.0.1:2053
    agentServer: 172.31.26.10:53
    zones: [corp.example, brand.example]
    tsigKeyFile: pulumi.key
    agentTsigKeyFile: agent.key
    ttl: 60
    caaIssuers: [pebble.letsencrypt.org]
  tlsgate:mtaSts:
    mode: enforce
    maxAge: 86400
    addresses: [192.0.2.4]
  tlsgate:tlsRpt: mailto:tls-reports@corp.example
  tlsgate:queue:
    retryShortest: 10s
    retryLongest: 20s
  tlsgate:ports:
    smtp: 127.0.0.1:10025
    http: none
  tlsgate:milters: ["inet:filter.corp.example:11332"]
  tlsgate:extraCaFile: extra-ca.pem
  tlsgate:resolver:
    stubZones:
      example: [172.31.26.10]
      corp.example: [172.31.26.10, 172.31.26.11]
    trustAnchorFile: trust-anchors
    probe: example
  tlsgate:network:
    existing: tlsgate-lab
    subnet: 172.31.26.0/24
  tlsgate:routes:
    far.example: "[relay.far.example]:25"
    .far.example: smtp:relay.far.example
  tlsgate:relayhost: "[out.corp.example]:587"
"""
"""All sections of a config. Each line that a test changes appears only once."""
PULUMI_SECRET = "cHVsdW1pLXNlY3JldC1mb3ItdGVzdHM="
AGENT_SECRET = "YWdlbnQtc2VjcmV0LWZvci10ZXN0cyE="
EAB_SECRET = "ZWFiLW1hYy1rZXktZm9yLXRlc3Rz"
SECRETS = (PULUMI_SECRET, AGENT_SECRET, EAB_SECRET)
ANCHOR = "corp.example. IN DS 12345 13 2 " + "ab" * 32


def tsig(name: str, secret: str) -> str:
    return f'key "{name}" {{ algorithm hmac-sha256; secret "{secret}"; }};\n'


@cache
def root(name: str) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM).decode()


def write_project(folder: Path, config: str, **files: str) -> None:
    """Write a stack's config and everything that it names; `files` are those of partners/."""
    content = {
        FILE: config,
        "pulumi.key": tsig("pulumi", PULUMI_SECRET),
        "agent.key": tsig("agent", AGENT_SECRET),
        "eab.key": f"{EAB_SECRET}\n",
        "acme-ca.pem": root("acme"),
        "extra-ca.pem": root("extra"),
        "trust-anchors": f"; the lab's\n{ANCHOR}\n",
    }
    for name, text in content.items():
        (folder / name).write_text(text)
    (folder / "partners").mkdir()
    for name, text in files.items():
        (folder / "partners" / f"{name}.yaml").write_text(text)


def as_pulumi_gives(config: str) -> dict[str, str]:
    """The config as the Pulumi engine hands it to a program: every value is a string."""
    values = YAML(typ="safe").load(config)["config"]
    return {key: _text(value) for key, value in values.items()}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def read_project() -> Inputs:
    """Read the project in the current folder."""
    config = Path(FILE).read_text()
    return parse_inputs(raw_values(as_pulumi_gives(config)), locator(Path(FILE)))


def reported_problems() -> list[str]:
    """The lines that the user sees about the project in the current folder."""
    try:
        read_project()
    except ProblemsError as error:
        return str(error).splitlines()
    return []


def changed(*changes: tuple[str, str]) -> str:
    """The config with texts replaced; each must be there exactly once."""
    config = CONFIG
    for old, new in changes:
        assert config.count(old) == 1, f"{old!r} appears {config.count(old)} times in the config"
        config = config.replace(old, new)
    return config
