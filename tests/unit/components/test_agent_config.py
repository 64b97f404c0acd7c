"""The certificate agent's agent.json: it follows the config and contains no secret."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.components.gateway_parts import MANUAL, declared, inputs_of
from tlsgate.acme.config.typed_json import to_json
from tlsgate_pulumi.certificates import agent_config

DNS_SERVER = {
    "server": "172.31.26.10",
    "port": 53,
    "zones": ["corp.example", "brand.example"],
    "tsig_key_file": "/config/agent.tsig",
    "ttl": 60,
}
CERTIFICATES = [
    {
        "name": "mx1.corp.example",
        "volume": "mx",
        "names": ["mx1.corp.example"],
        "tlsa": ["_25._tcp.mx1.corp.example"],
        "probe": {"host": "172.31.26.3", "port": 25, "starttls": True},
    },
    {
        "name": "policy-1",
        "volume": "policy",
        "names": ["mta-sts.corp.example", "mta-sts.brand.example"],
        "tlsa": [],
        "probe": {"host": "172.31.26.4", "port": 443, "starttls": False},
    },
]
WATCHED: dict[str, object] = {
    "fallback": None,
    "limits": {},
    "rotate_days": 90,
    "metrics_port": 9464,
    "webhook_file": None,
    "look_seconds": 60,
}


def test_agent_json_follows_the_config(tmp_path: Path) -> None:
    program = declared(inputs_of(tmp_path))
    files = program.of_type("VolumeFiles")["agent-files"].inputs
    assert json.loads(files["files"]["agent.json"]) == {
        "directory": "https://ca.lab.example:14000/dir",
        "contact": ["mailto:postmaster@corp.example"],
        "profile": None,
        "ca_file": "/config/acme-ca.pem",
        "roots_file": "/config/extra-ca.pem",
        "eab": {"key_id": "kid-1", "hmac_key_file": "/config/eab.key"},
        "challenge": {"type": "dns-01", **DNS_SERVER},
        "tlsa": DNS_SERVER,
        "certificates": CERTIFICATES,
        **WATCHED,
    }
    assert sorted(files["files"]) == ["acme-ca.pem", "agent.json", "extra-ca.pem"]
    assert {name: Path(path).name for name, path in files["secrets"].items()} == {
        "agent.tsig": "agent.key",
        "eab.key": "eab.key",
    }


def test_an_agent_without_dynamic_dns_answers_over_http(tmp_path: Path) -> None:
    settings = inputs_of(tmp_path, *MANUAL).settings
    assert json.loads(to_json(agent_config(settings))) == {
        "directory": "https://ca.lab.example:14000/dir",
        "contact": ["mailto:postmaster@corp.example"],
        "profile": "shortlived",
        "ca_file": None,
        "roots_file": None,
        "eab": None,
        "challenge": {"type": "http-01", "directory": "/challenge"},
        "tlsa": None,
        "certificates": CERTIFICATES,
        **WATCHED,
    }


def test_agent_json_has_rotation_limits_and_the_webhook(tmp_path: Path) -> None:
    (tmp_path / "hook").write_text("https://chat.example/secret-of-the-hook\n")
    limits = (
        "    caFile: acme-ca.pem\n",
        "    caFile: acme-ca.pem\n    limits: {failedAuthorizations: {count: 9}}\n"
        "    fallback: {directory: https://second.example/dir, profile: short, after: 2, "
        f"caFile: {tmp_path}/acme-ca.pem, "
        f"eab: {{keyId: kid-2, hmacKeyFile: {tmp_path}/eab.key}}}}\n",
    )
    more = (
        "  tlsgate:dns:\n",
        "  tlsgate:agent: {rotateDays: 30, tlsaTtl: 10, metricsPort: 0, "
        f"webhookFile: {tmp_path}/hook}}\n  tlsgate:dns:\n",
    )
    both = (
        "caaIssuers: [pebble.letsencrypt.org]",
        "caaIssuers: [pebble.letsencrypt.org, b.example]",
    )
    inputs = inputs_of(tmp_path, more, limits, both)
    config = json.loads(to_json(agent_config(inputs.settings)))
    assert config["tlsa"]["ttl"] == 10
    assert {key: config[key] for key in WATCHED} == {
        "rotate_days": 30,
        "metrics_port": None,
        "webhook_file": "/config/webhook",
        "look_seconds": 60,
        "limits": {"failed_authorizations": {"count": 9, "seconds": 3600}},
        "fallback": {
            "directory": "https://second.example/dir",
            "contact": [],
            "profile": "short",
            "ca_file": "/config/fallback-ca.pem",
            "eab": {"key_id": "kid-2", "hmac_key_file": "/config/fallback-eab.key"},
            "after": 2,
        },
    }
    made = declared(inputs)
    secrets = made.of_type("VolumeFiles")["agent-files"].inputs["secrets"]
    assert secrets["webhook"] == f"{tmp_path}/hook"
    assert secrets["fallback-eab.key"] == f"{tmp_path}/eab.key"
    assert "secret-of-the-hook" not in str([one.inputs for one in made.registered])
