"""agent.json: what is taken, and every mistake by its key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tlsgate.acme.certificate import Meta
from tlsgate.acme.config.agent_json import (
    Config,
    Dns01,
    DnsUpdates,
    HttpTokens,
    Probe,
    WantedCertificate,
    load,
)
from tlsgate.acme.config.ca import CaTurns, Eab, Fallback
from tlsgate.acme.config.limits import Limit, Limits
from tlsgate.problems import ProblemsError


@pytest.fixture
def values(tmp_path: Path) -> dict[str, Any]:
    """A configuration with everything in it."""
    for name in ("agent.tsig", "eab.key", "ca.pem"):
        (tmp_path / name).touch()
    dns = {
        "server": "192.0.2.1",
        "port": 5353,
        "zones": ["corp.example"],
        "tsig_key_file": str(tmp_path / "agent.tsig"),
        "ttl": 60,
    }
    return {
        "directory": "https://ca.example/dir",
        "contact": ["mailto:a@corp.example"],
        "profile": "tlsserver",
        "ca_file": str(tmp_path / "ca.pem"),
        "roots_file": str(tmp_path / "ca.pem"),
        "eab": {"key_id": "kid", "hmac_key_file": str(tmp_path / "eab.key")},
        "challenge": {"type": "dns-01", **dns},
        "tlsa": dns,
        "look_seconds": 5,
        "fallback": {"directory": "https://other.example/dir", "profile": "short", "after": 2},
        "limits": {
            "orders": {"count": 10, "seconds": 10_800},
            "duplicates": {"count": 2, "seconds": 60},
        },
        "certificates": [
            {
                "name": "mx1.corp.example",
                "volume": "mx",
                "names": ["mx1.corp.example"],
                "tlsa": ["_25._tcp.mx1.corp.example"],
            },
            {"name": "policy-1", "volume": "policy", "names": ["mta-sts.corp.example"]},
        ],
    }


def read(tmp_path: Path, values: object) -> Config:
    path = tmp_path / "agent.json"
    path.write_text(json.dumps(values))
    return load(path)


def test_everything(tmp_path: Path, values: dict[str, Any]) -> None:
    dns: dict[str, Any] = {
        "server": "192.0.2.1",
        "port": 5353,
        "zones": ("corp.example",),
        "tsig_key_file": tmp_path / "agent.tsig",
        "ttl": 60,
    }
    assert read(tmp_path, values) == Config(
        "https://ca.example/dir",
        ("mailto:a@corp.example",),
        "tlsserver",
        tmp_path / "ca.pem",
        Eab("kid", tmp_path / "eab.key"),
        roots_file=tmp_path / "ca.pem",
        challenge=Dns01(**dns),
        tlsa=DnsUpdates(**dns),
        certificates=(
            WantedCertificate(
                "mx1.corp.example", "mx", ("mx1.corp.example",), ("_25._tcp.mx1.corp.example",)
            ),
            WantedCertificate("policy-1", "policy", ("mta-sts.corp.example",), ()),
        ),
        look_seconds=5,
        fallback=Fallback("https://other.example/dir", profile="short", after=2),
        limits=Limits(orders=Limit(10, 3 * 3600), duplicates=Limit(2, 60)),
    )


def test_defaults(tmp_path: Path, values: dict[str, Any]) -> None:
    least = {key: values[key] for key in ("directory", "certificates")}
    challenge = {"type": "http-01", "directory": str(tmp_path)}
    config = read(tmp_path, {**least, "challenge": challenge})
    assert config.challenge == HttpTokens(tmp_path)
    assert config.directory == "https://ca.example/dir"
    assert (config.contact, config.profile, config.ca_file, config.eab) == ((), None, None, None)
    assert (config.roots_file, config.tlsa, config.look_seconds) == (None, None, 60)
    assert (config.cas, config.limits) == ((config,), Limits())
    assert (config.rotate_days, config.metrics_port, config.webhook_file) == (90, None, None)
    assert {wanted.probe for wanted in config.certificates} == {None}
    assert config.limits.orders == Limit(300, 10_800)


def test_rotation_and_probes(tmp_path: Path, values: dict[str, Any]) -> None:
    hook = tmp_path / "hook"
    hook.touch()
    probe = {"host": "192.0.2.25", "port": 25, "starttls": True}
    values["certificates"][0]["probe"] = probe
    more = {"rotate_days": 0, "metrics_port": 9464, "webhook_file": str(hook)}
    config = read(tmp_path, {**values, **more})
    assert (config.rotate_days, config.metrics_port, config.webhook_file) == (0, 9464, hook)
    assert config.certificates[0].probe == Probe("192.0.2.25", 25, starttls=True)
    assert str(config.certificates[0].probe) == "192.0.2.25 port 25 (STARTTLS)"


def test_the_first_ca_stands_first(tmp_path: Path, values: dict[str, Any]) -> None:
    config = read(tmp_path, values)
    first, second = "https://ca.example/dir", "https://other.example/dir"
    assert config.issuers == (Meta(first, "tlsserver"), Meta(second, "short"))
    assert config.turns == CaTurns((first, second), 2)


MX = {"name": "mx1.corp.example", "volume": "mx", "names": ["mx1.corp.example"]}


@pytest.mark.parametrize(
    ("change", "key", "words"),
    [
        ({"directory": None}, "directory", "is missing"),
        ({"directory": "http://ca.example"}, "directory", "not an https URL"),
        ({"contact": ["a@corp.example"]}, "contact[0]", "'a@corp.example', which is not a mailto:"),
        ({"contact": "a"}, "contact", "Write a list"),
        ({"profile": 7}, "profile", "is 7"),
        ({"ca_file": "/no/such/file"}, "ca_file", "/no/such/file, which does not exist"),
        ({"roots_file": ""}, "roots_file", "Write the path of a file"),
        ({"eab": {"key_id": "kid"}}, "eab.hmac_key_file", "is missing"),
        ({"eab": "kid"}, "eab", "Write an object"),
        ({"fallback": {}}, "fallback.directory", "is missing"),
        (
            {"fallback": {"directory": "https://ca.example/dir"}},
            "fallback.directory",
            "is the first CA already",
        ),
        ({"fallback": {"directory": "https://x", "after": 0}}, "fallback.after", "from 1 to 100"),
        ({"fallback": {"directory": "https://x", "tlsa": 1}}, "fallback.tlsa", "not a known key"),
        ({"limits": {"orders": {"count": 0}}}, "limits.orders.count", "from 1 to 1000000"),
        ({"limits": {"orders": {"count": 1}}}, "limits.orders.seconds", "is missing"),
        ({"limits": {"orders": 5}}, "limits.orders", "Write an object"),
        ({"limits": {"renewals": {}}}, "limits.renewals", "is not a known key"),
        ({"challenge": None}, "challenge", "is missing"),
        ({"challenge": {"type": "tls-alpn-01"}}, "challenge.type", "Write dns-01 or http-01"),
        ({"challenge": {"type": "http-01"}}, "challenge.directory", "is missing"),
        ({"tlsa": {"server": "x"}}, "tlsa.zones", "is missing"),
        ({"rotate_days": -1}, "rotate_days", "from 0 to 3650"),
        ({"metrics_port": 65536}, "metrics_port", "from 1 to 65535"),
        ({"metrics_port": 0}, "metrics_port", "from 1 to 65535"),
        ({"webhook_file": "/no/such/file"}, "webhook_file", "does not exist"),
        ({"look_seconds": 0}, "look_seconds", "from 1 to 3600"),
        ({"look_seconds": True}, "look_seconds", "from 1 to 3600"),
        ({"certificates": []}, "certificates", "at least one"),
        ({"certificates": ["mx1"]}, "certificates[0]", "Write an object"),
        ({"certificates": [{**MX, "names": []}]}, "certificates[0].names", "is empty"),
        (
            {"certificates": [{**MX, "names": ["*.x"]}]},
            "certificates[0].names[0]",
            "not a host name",
        ),
        ({"certificates": [{**MX, "names": ["MX.x"]}]}, "certificates[0].names[0]", "lower case"),
        (
            {"certificates": [{**MX, "names": [f"a{n}.example" for n in range(101)]}]},
            "certificates[0].names",
            "has 101 entries. Write at most 100",
        ),
        ({"certificates": [{**MX, "names": ["a.b", "a.b"]}]}, "certificates[0].names", "twice"),
        ({"certificates": [{**MX, "name": "../x"}]}, "certificates[0].name", "cannot name"),
        ({"certificates": [{**MX, "volume": ".."}]}, "certificates[0].volume", "cannot name"),
        ({"certificates": [{**MX, "tlsa": ["x y"]}]}, "certificates[0].tlsa[0]", "not a host name"),
        ({"certificates": [{**MX, "probe": {}}]}, "certificates[0].probe.host", "is missing"),
        (
            {"certificates": [{**MX, "probe": {"host": "a", "starttls": "yes"}}]},
            "certificates[0].probe.starttls",
            "Write true or false",
        ),
        ({"certificates": [MX, MX]}, "certificates", "mx/mx1.corp.example appears twice"),
        ({"directroy": "x"}, "directroy", "is not a known key"),
        ({"certificates": [{**MX, "expiry": 1}]}, "certificates[0].expiry", "not a known key"),
    ],
)
def test_mistake(
    tmp_path: Path, values: dict[str, Any], change: dict[str, Any], key: str, words: str
) -> None:
    with pytest.raises(ProblemsError) as caught:
        read(tmp_path, {**values, **change})
    found = [problem for problem in caught.value.problems if problem.key == key]
    assert len(found) == 1
    assert words in f"{found[0].message}. {found[0].remedy}"
    assert found[0].file == str(tmp_path / "agent.json")


def test_all_mistakes_at_once(tmp_path: Path, values: dict[str, Any]) -> None:
    values |= {"directory": "", "profile": [], "eab": {}, "extra": 1}
    with pytest.raises(ProblemsError) as caught:
        read(tmp_path, values)
    assert [problem.key for problem in caught.value.problems] == [
        "directory",
        "eab.hmac_key_file",
        "eab.key_id",
        "extra",
        "profile",
    ]


@pytest.mark.parametrize(
    ("content", "words"), [(None, "cannot be read"), ("{", "not JSON"), ("[]", "not a JSON object")]
)
def test_unreadable(tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "agent.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ProblemsError, match=words):
        load(path)
