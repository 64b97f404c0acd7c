"""`tlsgate queue` with the real Postfix: each held message with its reason from the log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.postfix.pki import new_key, spki_sha256
from tests.integration.postfix.world import HOST, World, partner, until
from tlsgate.cli import main
from tlsgate.partners.format import LIST_FILE, canonical_json
from tlsgate.partners.model import Outbound, Verify
from tlsgate.render.postfix import render_postfix

pytestmark = pytest.mark.integration

EXPECTED = {
    "strange.example": ("issuer", "certificate verification failed for mx.strange.example["),
    "two.example": ("foreign-mx", "hostname mismatch"),
    "named.example": ("name", "hostname mismatch"),
    "old.example": ("old-tls", "tlsv1 alert protocol version"),
    "plain.example": ("no-starttls", "TLS is required, but was not offered"),
    "rolled.example": ("pin", "no matching DANE TLSA records"),
    "nowhere.example": ("unreachable", "Connection refused"),
}


@pytest.fixture(scope="module", autouse=True)
def gateway(world: World) -> Iterator[None]:
    key = new_key()
    world.put_certificate("1", key, world.authority.issue([HOST], key=key))
    world.zone["nowhere.example"] = {"MX": ["mx.nowhere.example"]}
    world.zone["mx.nowhere.example"] = {"A": [world.address(world.containers["policy"])]}
    world.zone["mx.named.example"] = world.zone["mx.one.example"]
    world.zone["named.example"] = {"MX": ["mx.named.example"]}
    world.know_zone()
    pins = tuple(sorted((spki_sha256(new_key()), spki_sha256(new_key()))))
    partners = [
        *(
            partner(domain.removesuffix(".example"))
            for domain in EXPECTED
            if "rolled" not in domain
        ),
        partner("rolled", outbound=Outbound(Verify.PIN, public_keys=pins)),
        partner("one"),
    ]
    files = render_postfix(world.settings(retry_shortest="60s", retry_longest="120s"), partners)
    world.deliver_files({**files, LIST_FILE: canonical_json(partners)})
    world.start_gateway()
    for domain in EXPECTED:
        world.send(f"a@{domain}")
        assert world.outcome(f"a@{domain}").status == "deferred"
    yield


def ask(world: World, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    status = main(["queue", "--container", str(world.gateway.name), *options])
    said = capsys.readouterr()
    assert said.err == ""
    return status, said.out


def entries(said: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["domain"]: one for group in said["groups"] for one in group["entries"]}


def test_each_reason_is_from_the_log(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    status, text = ask(world, capsys, "--json")
    assert status == 1
    found = entries(json.loads(text))
    assert {domain: one["reason"]["code"] for domain, one in found.items()} == {
        domain: code for domain, (code, _) in EXPECTED.items()
    }
    for domain, (_, words) in EXPECTED.items():
        assert any(words in line for line in found[domain]["postfix"]), found[domain]
        assert found[domain]["reason"]["exact"]
        assert found[domain]["next_attempt"]
    assert "a@" not in text


def test_without_the_log_the_reason_is_from_the_queue(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """A replaced container has the queue's volume, but none of the old log."""
    world.gateway.remove(force=True)
    world.start_gateway()
    until(lambda: world.run("postqueue", "-j")[1].count("queue_id") == len(EXPECTED))
    _, text = ask(world, capsys, "--json")
    found = entries(json.loads(text))
    held = found["strange.example"]
    assert held["reason"]["exact"] is False
    assert held["postfix"] == ["Server certificate not verified"]
    assert held["next_attempt"]
    _, text = ask(world, capsys, "--domain", "strange.example")
    assert "no longer in the log: known after the next attempt (not before 2" in text
    world.run("postqueue", "-f")
    until(lambda: world.deliveries("a@strange.example"))
    _, text = ask(world, capsys, "--json")
    assert entries(json.loads(text))["strange.example"]["reason"]["code"] == "issuer"
