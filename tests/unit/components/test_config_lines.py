"""The line of a config key, and the values of Pulumi's strings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlsgate_pulumi.inputs import locator, raw_values

CONFIG = """\
# a comment
encryptionsalt: v1:x
config:
  other:key: 1
  tlsgate:domains:
    - corp.example

    - brand.example
  tlsgate:gateways:
    - name: mx1.corp.example
      addresses:
        - 192.0.2.3
        - 192.0.2.4
    - {name: mx2.corp.example,
       addresses: [192.0.2.5]}
  tlsgate:acme: {contact: [a, b],
    eab: {keyId: k}}
  tlsgate:resolver:
    stubZones:
      example: [192.0.2.1]
      corp.example:
        - 192.0.2.1
        - 192.0.2.2
      ".": [192.0.2.1]
      7: [192.0.2.1]
  tlsgate:routes:
    example: "[a]:25"
    corp.example: "[b]:25"
    .corp.example: "[c]:25"
    sub.corp.example: "[d]:25"
    "*": "[e]:25"
  tlsgate:relayhost: "[x]:25"
"""
LINES = {
    "tlsgate:domains": 5,
    "tlsgate:domains[0]": 6,
    "tlsgate:domains[1]": 8,
    "tlsgate:domains[2]": 5,
    "tlsgate:gateways[0].name": 10,
    "tlsgate:gateways[0].addresses[1]": 13,
    "tlsgate:gateways[0].queue": 10,
    "tlsgate:gateways[1].addresses[0]": 15,
    "tlsgate:acme.contact[1]": 16,
    "tlsgate:acme.eab.keyId": 17,
    "tlsgate:acme.eab.hmacKeyFile": 17,
    "tlsgate:acme.profile": 16,
    "tlsgate:resolver.stubZones.example": 20,
    "tlsgate:resolver.stubZones.example[0]": 20,
    "tlsgate:resolver.stubZones.corp.example": 21,
    "tlsgate:resolver.stubZones.corp.example[1]": 23,
    "tlsgate:resolver.stubZones..": 24,
    "tlsgate:resolver.stubZones.7[0]": 25,
    "tlsgate:routes.example": 27,
    "tlsgate:routes.corp.example": 28,
    "tlsgate:routes..corp.example": 29,
    "tlsgate:routes.sub.corp.example": 30,
    "tlsgate:routes.*": 31,
    "tlsgate:routes[example]": 27,
    "tlsgate:routes[corp.example]": 28,
    "tlsgate:routes[.corp.example]": 29,
    "tlsgate:routes[sub.corp.example]": 30,
    "tlsgate:routes[*]": 31,
    "tlsgate:routes[gone.example]": 26,
    "tlsgate:relayhost": 32,
    "tlsgate:relayhost.deeper": 32,
    "tlsgate:dom": 0,
    "tlsgate:queue.lifetime": 0,
}


@pytest.mark.parametrize(("key", "line"), LINES.items())
def test_a_key_is_found_at_its_line_or_its_parents(project: Path, key: str, line: int) -> None:
    Path("Pulumi.test.yaml").write_text(CONFIG)
    assert locator(Path("Pulumi.test.yaml"))(key) == ("Pulumi.test.yaml", line)


@pytest.mark.parametrize(
    "content",
    [b"", b"config:\n", b"config: [\n", b"- a\n", b"a: b\n", b"\xff\xfe", b"config: text\n"],
)
def test_a_file_without_a_config_is_named_without_a_line(project: Path, content: bytes) -> None:
    Path("Pulumi.test.yaml").write_bytes(content)
    locate = locator(Path("Pulumi.test.yaml"))
    assert locate("tlsgate:domains") == ("Pulumi.test.yaml", 0)


def test_a_missing_file_is_not_named(project: Path) -> None:
    assert locator(Path("Pulumi.test.yaml"))("tlsgate:domains") == ("", 0)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("mailto:a@b.example", "mailto:a@b.example"),
        ("5", "5"),
        ('["a", 5]', ["a", 5]),
        ('{"a": {"b": true}}', {"a": {"b": True}}),
        ("[mail.example]:25", "[mail.example]:25"),
        ("[mail", "[mail"),
        ("{", "{"),
    ],
)
def test_a_string_from_pulumi_becomes_a_value(text: str, value: object) -> None:
    assert raw_values({"tlsgate:key": text, "other:key": text}) == {"key": value}


@pytest.mark.parametrize("text", ["", "[]", "{}"])
def test_an_empty_default_is_not_set(text: str) -> None:
    assert raw_values({"tlsgate:key": text}) == {}
