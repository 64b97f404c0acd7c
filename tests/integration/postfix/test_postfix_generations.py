"""Deliveries, certificates and restarts on the running gateway."""

from __future__ import annotations

import smtplib
import threading
from pathlib import Path

import pytest

from tests.integration.postfix.pki import Authority, key_pem, new_key, spki_sha256
from tests.integration.postfix.world import HOST, World, partner, until
from tlsgate.partners.model import Inbound, Require
from tlsgate.render.postfix import render_postfix

pytestmark = pytest.mark.integration

ONE = partner("one")
KEY = new_key()


@pytest.fixture(scope="module", autouse=True)
def gateway(world: World) -> None:
    """Started with one partner."""
    world.put_certificate("1", KEY, world.authority.issue([HOST], key=KEY))
    world.deliver([ONE])
    world.start_gateway()


def _served_certificate(world: World) -> bytes:
    with world.session() as session:
        certificate: bytes = session.sock.getpeercert(binary_form=True)  # type: ignore[union-attr]
        return certificate


def _alerts(world: World) -> str:
    return "\n".join(f"{e['what']}: {e['reason']}" for e in world.events("alert"))


def _await_alert(world: World, reason: str) -> None:
    until(lambda: reason in _alerts(world), what=f"an alert that says {reason!r}")


def test_a_new_list_is_active_without_a_restart(world: World) -> None:
    world.gateway.reload()
    started = world.gateway.attrs["State"]["StartedAt"]
    with world.session() as session:
        session.docmd("MAIL FROM:<a@stranger.example>")
        session.docmd("RCPT TO:<open@corp.example>")
        world.switch([ONE, partner("new")])
        with world.session(tls=False) as other:
            other.docmd("MAIL FROM:<a@new.example>")
            assert other.docmd("RCPT TO:<staff@corp.example>")[0] == 450
        assert session.data("Subject: open\r\n\r\n")[0] == 250
    until(lambda: [m for m in world.received("internal") if "<open@corp" in m["mail"]])
    world.gateway.reload()
    assert world.gateway.attrs["State"]["StartedAt"] == started


def test_the_same_files_again_change_nothing(world: World) -> None:
    first = world.deliver([ONE])
    again = world.deliver([ONE])
    assert again == {**first, "changed": False}
    show = world.job(["python3", "-m", "tlsgate.generation", "show"])
    assert show == {name: first[name] for name in ("generation", "live")}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"partner_policy": "one.example secure\none.example may\n"}, "duplicate entry"),
        ({"partner_policy": "one.example\n"}, "expected format"),
        ({"partner_networks": "192.0.2.1/24 reject\n"}, "non-null host address bits"),
        ({"sender_syntax": "/(/ reject\n"}, "Unmatched"),
        ({"main.cf+": "smtp_tls_polcy_maps = x\n"}, "unused parameter"),
        ({"main.cf+": "transport_maps = lmdb:/run/tlsgate/active/nowhere\n"}, "missing: nowhere"),
        ({"main.cf+": "maximal_queue_lifetime = five\n"}, "maximal_queue_lifetime"),
    ],
)
def test_an_invalid_delivery_is_refused(world: World, change: dict[str, str], reason: str) -> None:
    before = world.job(["python3", "-m", "tlsgate.generation", "show"])
    files = render_postfix(world.settings(), [ONE])
    for name, text in change.items():
        file = name.removesuffix("+")
        files[file] = files[file] + text if name.endswith("+") else text
    assert reason in world.deliver_files(files, fails=True)["reason"]
    assert world.job(["python3", "-m", "tlsgate.generation", "show"]) == before


def test_a_gateway_without_internal_networks_passes_the_check(world: World) -> None:
    alone = render_postfix(world.settings(internal_networks=()), [ONE])
    assert world.deliver_files(alone)["changed"] is True
    assert world.deliver([ONE])["changed"] is True


def test_a_manual_change_is_found_and_repaired(world: World) -> None:
    delivered = world.switch([ONE])
    show = ["python3", "-m", "tlsgate.generation", "show"]
    before = world.job(show)
    world.job(
        [
            "sh",
            "-c",
            "cd /config/current && echo 'one.example may' > partner_policy && "
            "postmap -c . lmdb:partner_policy && echo '{}'",
        ]
    )
    edited = world.job(show)
    assert edited["live"] != before["live"]
    repaired = world.deliver([ONE])
    assert (repaired["generation"], repaired["changed"]) == (delivered, True)
    code, text = world.run("python3", "-m", "tlsgate.generation", "await", delivered)
    assert code == 0, text
    _, policy = world.run("postmap", "-q", "one.example", "lmdb:/run/tlsgate/active/partner_policy")
    assert policy.startswith("secure")


def test_a_damaged_generation_is_refused_with_an_alert(world: World) -> None:
    good = world.switch([ONE])
    world.job(
        [
            "sh",
            "-c",
            "cd /config && cp -r generations/$(readlink current | cut -d/ -f2) "
            "generations/0123456789abcdef && echo 'x may' >> generations/0123456789abcdef/"
            "partner_policy && ln -s generations/0123456789abcdef n && mv -T n current && echo {}",
        ]
    )
    command = ["python3", "-m", "tlsgate.generation", "await", "0123456789abcdef"]
    code, text = world.run(*command, "--timeout", "5")
    assert code == 1
    assert "changed since it was installed" in text
    assert "generation 0123456789abcdef refused" in _alerts(world)
    assert good in world.run("cat", "/run/tlsgate/active-id")[1]
    assert world.healthy()
    world.switch([ONE])


def test_only_a_correct_certificate_is_served(world: World) -> None:
    issue = world.authority.issue
    stranger = new_key()
    bad = {
        "mismatch": (KEY, issue([HOST], key=stranger), "does not belong"),
        "expired": (KEY, issue([HOST], key=KEY, days=-1), "expired"),
        "other": (KEY, issue(["other.example"], key=KEY), "Hostname mismatch"),
        "text": (KEY, "no certificate\n", "cannot be used"),
    }
    served = _served_certificate(world)
    for generation, (key, chain, reason) in bad.items():
        world.put_certificate(generation, key, chain)
        _await_alert(world, reason)
        assert _served_certificate(world) == served
    world.put_certificate("2", KEY, issue([HOST], key=KEY))
    until(lambda: _served_certificate(world) != served, what="the renewed certificate")
    _, listing = world.run("stat", "-c", "%a %U", f"/run/tlsgate/tls/{HOST}.pem")
    assert listing.split() == ["600", "root"]


def test_a_client_certificate_is_known_by_its_key(world: World, tmp_path: Path) -> None:
    """Only the key counts: the certificate is self-signed."""
    registered, other = new_key(), new_key()
    pin = spki_sha256(registered)
    inbound = Inbound(Require.CERTIFICATE, public_keys=(pin,))
    world.switch([ONE, partner("cert", inbound=inbound)])
    world.know_client(pin)
    for name, key, expected in (("registered", registered, 250), ("other", other, 450)):
        pem = tmp_path / f"{name}.pem"
        pem.write_text(key_pem(key) + Authority(name).issue(["client.example"], key=key))
        with world.session(client=pem) as session:
            session.docmd("MAIL FROM:<a@cert.example>")
            assert session.docmd("RCPT TO:<staff@corp.example>")[0] == expected, name


def test_a_killed_gateway_loses_no_accepted_mail(world: World) -> None:
    accepted: list[str] = []

    def feed(part: int) -> None:
        try:
            with world.session(2525) as session:
                for number in range(400):
                    recipient = f"killed{part}.{number}@one.example"
                    session.sendmail("a@corp.example", [recipient], "Subject: x\r\n\r\n")
                    accepted.append(recipient)
        except (smtplib.SMTPException, OSError):
            return

    threads = [threading.Thread(target=feed, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: len(accepted) > 100)
    world.gateway.kill("SIGKILL")
    for thread in threads:
        thread.join()
    world.gateway.wait(timeout=20)
    assert len(accepted) < 1600
    world.gateway.start()
    until(world.healthy, what="a healthy gateway")

    def arrived() -> bool:
        text = " ".join(mail["mail"] for mail in world.received("shared"))
        return all(f"<{recipient}>" in text for recipient in accepted)

    until(arrived, seconds=40, what="the delivery of everything accepted")


def test_a_gateway_without_a_generation_does_not_start(world: World) -> None:
    world.gateway.stop(timeout=10)
    world.job(["sh", "-c", "rm /config/current && mv /config/generations /config/g && echo {}"])
    world.gateway.start()
    assert world.gateway.wait(timeout=20)["StatusCode"] == 1
    assert "no generation to serve" in _alerts(world)
