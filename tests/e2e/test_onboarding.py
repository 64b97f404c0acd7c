"""A new partner, from the letter to enforcement, with the real gateway and the real commands."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lab import files, plan
from lab.driver import Answer, Lab, Message, message_text, new_token
from tests.e2e.conftest import World
from tests.e2e.deployment import Deployment, PulumiResult, demo_config, write_config
from tests.e2e.waiting import until

pytestmark = pytest.mark.e2e

PEER, DOMAIN = "hosted", "hosted-free.example"
PEERS = (PEER,)
HOST = plan.BY_NAME[PEER].host
NAME = "Acme Motors AG"
ENOUGH = 3
"""Messages in each direction: the default numbers would take a week."""


@dataclass
class Story:
    """The output and the effect of each step, in order."""

    added: PulumiResult
    promoted: list[PulumiResult] = field(default_factory=list)
    """Outputs of `promote`: before any mail, after a plaintext message, and after enough mail."""
    observed: list[Answer] = field(default_factory=list)
    """Answers to the partner's mail in plaintext and then over TLS, in observe mode."""
    enforced: list[Answer] = field(default_factory=list)
    sent: tuple[str, ...] = ()
    """Messages to the partner that arrived in observe mode."""
    diff: PulumiResult | None = None
    file: str = ""
    log: str = ""


@pytest.fixture(scope="module")
def story(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("onboarding")
    shutil.copytree(files.LAB / "partners", folder / "partners")
    config = demo_config()
    config["config"]["tlsgate:partners"] = str(folder / "partners")
    file = write_config(folder / "Pulumi.demo.yaml", config)
    deployment = Deployment(options=("--config-file", str(file)))
    try:
        yield tell(world.lab, folder, deployment)
    finally:
        write_config(file, demo_config())
        restored = deployment.up()
        assert restored.code == 0, restored.text


def tell(lab: Lab, folder: Path, deployment: Deployment) -> Story:
    story = Story(
        tlsgate(
            folder,
            *("add", DOMAIN, "--name", NAME, "--mx", HOST, "--non-interactive"),
            *("--own-domain", "corp.example", "--own-domain", "brand.example"),
            *("--resolver", plan.RESOLVER_ADDRESS),
            *("--extra-ca", str(files.PKI / "public-roots.pem")),
        )
    )
    assert story.added.code == 0, story.added.text
    deployed(deployment)
    story.promoted.append(until(lambda: noticed(promote(folder)), "begin of the observation"))
    story.sent = send(lab)
    story.observed.append(receive(lab, tls="none"))
    until(lambda: counted(folder, "(no-tls 1)"), "evidence of a message in plaintext")
    story.promoted.append(promote(folder))
    story.observed += [receive(lab, tls="starttls") for _ in range(ENOUGH)]
    enough = ("--min-days", "0", "--min-outbound", str(ENOUGH), "--min-inbound", str(ENOUGH))
    observed = shutil.copytree(folder / "partners", folder / "observed")
    story.promoted.append(until(lambda: ready(promote(folder, *enough)), "enough evidence"))
    story.file = (folder / "partners" / "acme-motors-ag.yaml").read_text()
    story.diff = tlsgate(folder, "diff", f"{observed}/", f"{folder}/partners/", "--json")
    deployed(deployment)
    began = time.time()
    story.enforced += [receive(lab, tls="none"), receive(lab, tls="starttls")]
    send(lab)
    story.log = lab.gateway_log(since=began)
    return story


def tlsgate(folder: Path, *arguments: str) -> PulumiResult:
    """Run `tlsgate partners …` in the folder of the list."""
    done = subprocess.run(
        [sys.executable, "-m", "tlsgate", "partners", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return PulumiResult(done.returncode, done.stdout)


def promote(folder: Path, *options: str) -> PulumiResult:
    return tlsgate(folder, "promote", NAME, "--stack", "demo", *options)


def counted(folder: Path, what: str) -> bool:
    return what in promote(folder).text


def noticed(said: PulumiResult) -> PulumiResult | None:
    """None until the policy helper has written its observations."""
    return None if "does not observe" in said.text else said


def ready(said: PulumiResult) -> PulumiResult | None:
    """None until there is enough evidence."""
    return None if said.code == 3 else said


def deployed(deployment: Deployment) -> None:
    said = deployment.up()
    assert said.code == 0, said.text


def send(lab: Lab) -> tuple[str, ...]:
    """Send mail to the partner and wait until it arrives."""
    tokens = tuple(new_token() for _ in range(ENOUGH))
    lab.send((token, f"{token}@{DOMAIN}", "") for token in tokens)
    until(lambda: all(lab.received(PEER, one) for one in tokens), "mail at the partner")
    return tokens


def receive(lab: Lab, *, tls: str) -> Answer:
    """The gateway's answer to mail in the partner's name."""
    token = new_token()
    sender, to = f"a@{DOMAIN}", f"{token}@corp.example"
    text = message_text(sender, to, token)
    message = Message(token, plan.GATEWAY_ADDRESS, 25, sender, to, text, tls)
    return lab.submit(PEER, [message])[token]


def test_the_letter_names_what_the_partner_can_require_from_us(story: Story) -> None:
    letter = story.added.text
    assert f"    corp.example   secure match={plan.GATEWAY_HOST}\n" in letter
    assert f"    brand.example  secure match={plan.GATEWAY_HOST}\n" in letter
    assert f"    _25._tcp.{plan.GATEWAY_HOST}. TLSA 3 1 1 " in letter
    assert "MTA-STS (RFC 8461): corp.example (enforced), brand.example (enforced)." in letter
    ready_for = f"- {DOMAIN} is ready for pkix and pin: {HOST} offers TLSv1.3"
    assert ready_for in " ".join(
        letter.split()
    )  # the positions of line breaks depend on the names' lengths


def test_in_observe_mode_all_mail_is_delivered(story: Story) -> None:
    assert [one.code for one in story.observed] == [250] * (1 + ENOUGH)
    assert len(story.sent) == ENOUGH


def test_it_is_not_promoted_before_there_is_evidence(story: Story) -> None:
    before, unclean, _ = story.promoted
    assert (before.code, unclean.code) == (3, 3)
    assert "outbound: 0 of 20 messages in 0 of 7 days" in before.text
    assert "inbound: 0 of 20 messages in 0 of 7 days" in before.text
    assert f"outbound: {ENOUGH} of 20 messages in 0 of 7 days" in unclean.text
    assert "when the last of 1 would have been refused (no-tls 1)" in unclean.text


def test_it_is_promoted_on_clean_evidence_that_the_file_names(story: Story) -> None:
    promoted = story.promoted[-1]
    assert promoted.code == 0, promoted.text
    ground = f"outbound {ENOUGH} messages in 0 days, inbound {ENOUGH} messages in 0 days, all clean"
    assert f"{ground}.\nmode: enforce\n" in story.file
    assert story.diff is not None
    report: dict[str, Any] = json.loads(story.diff.text)
    assert [one["kind"] for one in report["changes"]] == ["tightened"]


def test_then_it_is_enforced(story: Story) -> None:
    plaintext, encrypted = story.enforced
    assert (plaintext.code, encrypted.code) == (450, 250)
    assert f"Verified TLS connection established to {HOST}" in story.log
