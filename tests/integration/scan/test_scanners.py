"""testssl.sh and sslyze find nothing at the gateway's ports and at the policy host.

By hand: `make test TESTS="tests/integration/scan -s"` prints what each scanner found.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.integration.postfix.pki import Key, new_key
from tests.integration.scan.scan_world import HTTPS_PORT, PORTS, TRUSTED_ROOT, ScanWorld
from tlsgate.render.policy_host import HSTS_SECONDS

pytestmark = pytest.mark.integration

NO_FINDING = {"OK", "INFO"}
NOT_THE_SERVERS = {
    # The scanner's own OpenSSL has no GOST.
    "engine_problem",
    # With TLS 1.3 tickets come after the handshake, when this client may have disconnected.
    "sessionresumption_ticket",
}
"""Findings of testssl.sh that are not about the server: id → reason."""
SECTIONS = (
    "--protocols",
    "--categories",
    "--forward-secrecy",
    "--server-defaults",
    "--server-preference",
    "--vulnerable",
)
"""All but the simulation of browsers, which ends in no finding and takes a third of the time."""


@pytest.fixture(scope="module")
def world(start: Callable[[Callable[[], Key]], ScanWorld]) -> ScanWorld:
    """A world with the agent's kind of keys."""
    return start(new_key)


@pytest.fixture(scope="module")
def testssl(world: ScanWorld) -> Iterator[dict[int, list[dict[str, Any]]]]:
    """Port → findings of testssl.sh; three scans in parallel, because each mostly waits."""

    def scan(port: int) -> list[dict[str, Any]]:
        url = f"{world.host(port)}:{port}"
        kind = ["--headers"] if port == HTTPS_PORT else ["--starttls", "smtp"]
        code, output = world.scan(
            "testssl",
            *("--add-ca", TRUSTED_ROOT, "--nodns", "none", "--warnings", "off"),
            *("--color", "0", "--jsonfile", f"/scan/{port}.json", *SECTIONS, *kind, url),
        )
        print(output)
        findings: list[dict[str, Any]] = json.loads(world.shell(f"cat /scan/{port}.json"))
        assert findings[-1]["id"] == "scanTime", f"exit code {code}: {output}"
        return findings

    with ThreadPoolExecutor(len(PORTS)) as pool:
        yield dict(zip(PORTS, pool.map(scan, PORTS), strict=True))


@pytest.mark.parametrize("port", PORTS)
def test_testssl_has_no_finding(testssl: dict[int, list[dict[str, Any]]], port: int) -> None:
    found = {
        finding["id"]: f"{finding['severity']}: {finding['finding']}"
        for finding in testssl[port]
        if finding["severity"] not in NO_FINDING and finding["id"] not in NOT_THE_SERVERS
    }
    assert found == {}


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize(
    ("finding", "text"),
    [
        ("cert_chain_of_trust", "passed."),
        ("cert_trust", "Ok via SAN"),
        ("cipher_order", "server"),
        ("FS_KEMs", "X25519MLKEM768"),
        ("TLS1_1", "not offered"),
        ("TLS1_3", "offered with final"),
        ("cipherlist_aNULL", "not offered"),
    ],
)
def test_testssl_has_looked(
    testssl: dict[int, list[dict[str, Any]]], port: int, finding: str, text: str
) -> None:
    found = {entry["id"]: entry["finding"] for entry in testssl[port]}
    assert text in found[finding]


def sslyze(world: ScanWorld, *arguments: str) -> tuple[str, list[dict[str, Any]]]:
    """What it prints, and its result for each server."""
    command = ["/opt/sslyze/bin/sslyze", "--mozilla_config=intermediate"]
    command += ["--certinfo_ca_file", TRUSTED_ROOT, "--json_out", "/scan/sslyze.json"]
    command += ["--early_data"]
    _, output = world.scan(*command, *arguments)
    print(output)
    results = json.loads(world.shell("cat /scan/sslyze.json"))["server_scan_results"]
    return output, [result["scan_result"] for result in results]


@pytest.mark.parametrize("port", PORTS)
def test_sslyze_finds_mozillas_intermediate_profile(world: ScanWorld, port: int) -> None:
    server = f"{world.host(port)}:{port}"
    kind = ["--http_headers"] if port == HTTPS_PORT else ["--starttls", "smtp"]
    output, (result,) = sslyze(world, *kind, server)
    assert f"{server}: OK - Compliant." in output
    assert result["tls_1_3_early_data"]["result"]["supports_early_data"] is False
    if port == HTTPS_PORT:  # the profile's HSTS is not part of the check
        headers = result["http_headers"]["result"]
        assert headers["strict_transport_security_header"]["max_age"] == HSTS_SECONDS
