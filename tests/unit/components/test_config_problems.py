"""The messages about wrong input: the whole text in every case, with file and line.

The cases of a wrong config are in config_problems.txt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.components.stack_config import (
    AGENT_SECRET,
    CONFIG,
    EAB_SECRET,
    PULUMI_SECRET,
    SECRETS,
    changed,
    read_project,
    reported_problems,
    root,
    tsig,
    write_project,
)
from tests.unit.partners.partner_files import record

UNRELAYED = ('  tlsgate:relayhost: "[out.corp.example]:587"\n', "")
"""Without a relay host, mail to a partner goes to its own MX."""


def cases() -> Iterator[tuple[str, str, list[str]]]:
    """Name, config and messages of every block of the table."""
    table = Path(__file__).with_name("config_problems.txt").read_text("utf-8")
    for block in table.split("\n# ")[1:]:
        name, *lines = block.splitlines()
        hunks = re.findall(r"((?:^-.*\n)+)((?:^\+.*\n)*)", f"{block}\n", flags=re.M)
        changes = [
            (re.sub(r"^-", "", old, flags=re.M), re.sub(r"^\+", "", new, flags=re.M))
            for old, new in hunks
        ]
        yield name, changed(*changes), [line for line in lines if line and line[0] not in "-+"]


CASES = list(cases())


@pytest.mark.parametrize(
    ("config", "expected"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_a_wrong_config_is_refused(project: Path, config: str, expected: list[str]) -> None:
    write_project(project, config)
    count = f"{len(expected)} problem{'' if len(expected) == 1 else 's'}."
    assert reported_problems() == [*expected, count]


def test_the_config_that_the_cases_change_is_valid(project: Path) -> None:
    write_project(project, CONFIG)
    inputs = read_project()
    assert inputs.settings.domains == ("corp.example", "brand.example")
    assert inputs.settings.relayhost == "[out.corp.example]:587"
    assert inputs.settings.routes == (
        (".far.example", "smtp:relay.far.example"),
        ("far.example", "[relay.far.example]:25"),
    )


PEM_REMEDY = "Name a PEM file of CA certificates. [bad-file]"
BAD_FILES = {
    "a private key among certificates": (
        "extra-ca.pem",
        root("extra") + "-----BEGIN PRIVATE KEY-----\n",
        "35: tlsgate:extraCaFile: extra-ca.pem: contains a private key, which must not be here. "
        + PEM_REMEDY,
    ),
    "no PEM file": (
        "acme-ca.pem",
        "nothing\n",
        "13: tlsgate:acme.caFile: acme-ca.pem: is not a PEM file in ASCII that contains "
        "certificates only. " + PEM_REMEDY,
    ),
    "a broken certificate": (
        "acme-ca.pem",
        root("acme").replace("\nMII", "\nMIIB"),
        "13: tlsgate:acme.caFile: acme-ca.pem: contains a certificate that cannot be read. "
        + PEM_REMEDY,
    ),
    "no TSIG key": (
        "pulumi.key",
        f"{PULUMI_SECRET}\n",
        "19: tlsgate:dns.tsigKeyFile: its file contains no TSIG key. Write `key "
        '"name" { algorithm hmac-sha256; secret "…"; };`, as `tsig-keygen name` prints it. '
        "[bad-file]",
    ),
    "the same TSIG key in another file, under another name": (
        "agent.key",
        tsig("agent", PULUMI_SECRET),
        "20: tlsgate:dns.agentTsigKeyFile: contains the key that Pulumi uses. Use a narrow key for "
        "the agent, for _acme-challenge and TLSA names only. [same-key]",
    ),
    "a MAC key with a heading": (
        "eab.key",
        f"key: {EAB_SECRET}\n",
        "14: tlsgate:acme.eab.hmacKeyFile: its file is not base64url. Write only the MAC key "
        "from "
        "the CA into it. [bad-file]",
    ),
    "not a trust anchor": (
        "trust-anchors",
        "corp.example. 3600 IN A 192.0.2.1\n",
        "40: tlsgate:resolver.trustAnchorFile: trust-anchors: trust anchor 'corp.example. 3600 IN "
        "A 192.0.2.1': write a DS or DNSKEY record, one a line, such as 'example. IN DS 12345 13 2 "
        "<digest>'. [bad-file]",
    ),
}


@pytest.mark.parametrize(("file", "content", "expected"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_with_the_wrong_content_is_refused(
    project: Path, file: str, content: str, expected: str
) -> None:
    write_project(project, CONFIG)
    (project / file).write_text(content)
    assert reported_problems() == [f"Pulumi.test.yaml:{expected}", "1 problem."]


def test_a_file_that_is_not_utf8_text_is_refused(project: Path) -> None:
    write_project(project, CONFIG)
    (project / "extra-ca.pem").write_bytes(b"\x30\x82\xff\xfe")
    expected = (
        f"Pulumi.test.yaml:35: tlsgate:extraCaFile: extra-ca.pem is not UTF-8 text. {PEM_REMEDY}"
    )
    assert reported_problems() == [expected, "1 problem."]


def test_a_secret_in_place_of_its_path_is_not_shown(project: Path) -> None:
    write_project(
        project,
        changed(
            ("tsigKeyFile: pulumi.key", f"tsigKeyFile: {PULUMI_SECRET}"),
            ("agentTsigKeyFile: agent.key", f"agentTsigKeyFile: {AGENT_SECRET}"),
            ("hmacKeyFile: eab.key", f"hmacKeyFile: {EAB_SECRET}"),
        ),
    )
    expected = reported_problems()
    assert [line.partition(": ")[2].partition(": ")[0] for line in expected[:-1]] == [
        "tlsgate:acme.eab.hmacKeyFile",
        "tlsgate:dns.tsigKeyFile",
        "tlsgate:dns.agentTsigKeyFile",
    ]
    assert not [secret for secret in SECRETS if secret in "\n".join(expected)]


def test_a_path_may_start_in_the_home_folder(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(project))
    write_project(project, changed(("tsigKeyFile: pulumi.key", "tsigKeyFile: ~/pulumi.key")))
    assert reported_problems() == []


@pytest.mark.parametrize("path", ["ca.pem", "images/../ca.pem", "/images/ca.pem"])
def test_an_image_build_sees_nothing_outside_images(
    project: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = f"  tlsgate:images: {{buildCaFile: {path}}}\n  tlsgate:tlsRpt:"
    write_project(project, changed(("  tlsgate:tlsRpt:", images)))
    (project / "images").mkdir()
    monkeypatch.setattr("tlsgate_pulumi.build_context.CHECKOUT", project)
    (project / "ca.pem").write_text(root("build"))
    assert reported_problems()[-2] == (
        f"Pulumi.test.yaml:27: tlsgate:images.buildCaFile: {path} is not below images/, "
        "the only folder that image builds can read. Copy it to images/extra-ca.crt, which git "
        "ignores, and name that. [outside-images]"
    )


def test_problems_of_config_files_and_partners_come_in_one_report(project: Path) -> None:
    write_project(
        project,
        changed(
            ("    maxAge: 86400\n", "    maxAge: 1\n"),
            ("extraCaFile: extra-ca.pem", "extraCaFile: no.pem"),
            ("    .far.example: smtp:relay.far.example", "    .acme.example: mx.acme.example"),
        ),
        acme=record(domains="[acme.example]", mood="good"),
        own=record(name="Own", domains="[mail.corp.example]"),
    )
    assert reported_problems() == [
        "Pulumi.test.yaml:25: tlsgate:mtaSts.maxAge: 1 is not a whole number from 86400 to "
        "31557600. Write a number, such as 604800. [bad-number]",
        "Pulumi.test.yaml:35: tlsgate:extraCaFile: no.pem cannot be read (No such file or "
        "directory). Name an existing file, relative to the project. [no-file]",
        "partners/acme.yaml:6: mood: is not a key of the record. Did you mean mode? [unknown-key]",
        "partners/own.yaml:5: domains[0]: `mail.corp.example` is below your own domain "
        "`corp.example`. List only the partner's domains; your own are set in the stack's "
        "config. [own-domain]",
        "4 problems.",
    ]


DIVERTED = (
    "the partner's TLS policy, which Postfix looks up by the next hop, would not apply. Remove it, "
    "or write routes `acme.example: 'smtp:'` and, for subdomains, `.acme.example: 'smtp:'`, so "
    "that this mail goes to the partner's own MX. [partner-diverted]"
)
ROUTES = {
    "the relay host": (
        [],
        "48: tlsgate:relayhost: next hop [out.corp.example]:587",
    ),
    "a route of its own": (
        [UNRELAYED, ("    far.example:", "    acme.example: mx.acme.example\n    far.example:")],
        "46: tlsgate:routes[acme.example]: next hop mx.acme.example",
    ),
    "a route of its subdomains": (
        [UNRELAYED, ("    .far.example:", "    .acme.example:")],
        "47: tlsgate:routes[.acme.example]: next hop smtp:relay.far.example",
    ),
    "a route of everything": (
        [UNRELAYED, ("    .far.example:", "    '*':")],
        "47: tlsgate:routes[*]: next hop smtp:relay.far.example",
    ),
}


@pytest.mark.parametrize(("changes", "expected"), ROUTES.values(), ids=ROUTES)
def test_a_next_hop_that_takes_a_partner_past_its_policy_is_refused(
    project: Path, changes: list[tuple[str, str]], expected: str
) -> None:
    partner = record(domains="[acme.example]", subdomains="true")
    write_project(project, changed(*changes), acme=partner)
    line = f"Pulumi.test.yaml:{expected} takes the mail of partner domain acme.example: {DIVERTED}"
    assert reported_problems() == [line, "1 problem."]


def test_a_partner_kept_off_the_relay_host_is_no_problem(project: Path) -> None:
    own_way = "    acme.example: 'smtp:'\n    .acme.example: 'smtp:'\n    far.example:"
    partner = record(domains="[acme.example]", subdomains="true")
    write_project(project, changed(("    far.example:", own_way)), acme=partner)
    assert [one.name for one in read_project().partners] == ["Acme Motors AG"]
