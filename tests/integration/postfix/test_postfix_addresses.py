"""Who may send what to whom: recipients of the own domains, internal senders, roles."""

from __future__ import annotations

import pytest

from tests.integration.postfix.pki import new_key
from tests.integration.postfix.world import HOST, World, partner, until

pytestmark = pytest.mark.integration

ONE = partner("one")
SENDERS = ("news.example", ".far.example", "alerts@monitor.example")


@pytest.fixture(scope="module", autouse=True)
def gateway(world: World) -> None:
    key = new_key()
    world.put_certificate("1", key, world.authority.issue([HOST], key=key))
    world.deliver([ONE], internal_senders=SENDERS)
    world.start_gateway()


@pytest.mark.parametrize(("port", "offered"), [(25, False), (2525, True)])
def test_strangers_cannot_ask_for_reports_of_success(
    world: World, port: int, offered: bool
) -> None:
    """The reports would go to the forged sender."""
    with world.session(port) as session:
        assert session.has_extn("dsn") == offered
        session.docmd("MAIL FROM:<jane@corp.example>" if offered else "MAIL FROM:<a@b.example>")
        code, _ = session.docmd("RCPT TO:<postmaster@corp.example> NOTIFY=SUCCESS")
        assert (code == 250) == offered
        session.rset()


def answer(world: World, port: int, sender: str, recipient: str) -> tuple[int, str]:
    """The answer to the recipient of one transaction under TLS."""
    with world.session(port) as session:
        session.docmd(f"MAIL FROM:<{sender}>")
        code, text = session.docmd(f"RCPT TO:<{recipient}>")
        session.rset()
    return code, text.decode()


def verified(world: World, recipient: str, code: int) -> str:
    """The answer after the internal server was asked; until then Postfix answers 450."""
    sender = "x@stranger.example"

    def look() -> str:
        found, text = answer(world, 25, sender, recipient)
        assert found in {code, 450}, text
        return text if found == code else ""

    return until(look, what=f"{code} to {recipient}")


@pytest.mark.parametrize(
    ("sender", "code"),
    [
        ("jane@corp.example", 250),
        ("jane@brand.example", 250),
        ("", 250),
        ("x@news.example", 250),
        ("x@a.far.example", 250),
        ("alerts@monitor.example", 250),
        ("x@monitor.example", 550),
        ("x@far.example", 550),
        ("x@elsewhere.example", 550),
        ("x@sub.corp.example", 550),
        ("x@one.example", 550),
    ],
)
def test_senders_that_the_internal_networks_may_use(world: World, sender: str, code: int) -> None:
    found, text = answer(world, 2525, sender, "a@one.example")
    assert found == code
    assert ("tlsgate:internal.senders" in text) == (code == 550)


@pytest.mark.parametrize(
    ("recipient", "code"),
    [
        ("jane@corp.example", 250),
        ("nosuch-x@corp.example", 550),
        ("postmaster", 250),
        (f"postmaster@{HOST}", 250),
        (f"abuse@{HOST}", 250),
        (f"jane@{HOST}", 550),
    ],
)
def test_recipients_are_asked_of_the_internal_server(
    world: World, recipient: str, code: int
) -> None:
    verified(world, recipient, code)
    # In separate processes, not in those for mail.
    assert "postfix/address-check/smtp" in world.log()


def test_a_role_reaches_the_internal_server(world: World) -> None:
    verified(world, f"abuse@{HOST}", 250)
    with world.session() as session:
        session.sendmail("x@stranger.example", [f"abuse@{HOST}"], "Subject: x\r\n\r\n")
    until(lambda: [m for m in world.received("internal") if "<abuse@corp.example>" in m["mail"]])


def test_without_the_internal_server_nothing_is_refused_for_good(world: World) -> None:
    internal = world.containers["internal"]
    internal.stop(timeout=0)
    try:
        assert answer(world, 25, "x@stranger.example", "unasked@corp.example")[0] == 450
        # A known recipient is accepted, and the mail waits.
        assert answer(world, 25, "x@stranger.example", "jane@corp.example")[0] == 250
    finally:
        internal.start()


@pytest.mark.parametrize(
    ("changes", "recipient", "code"),
    [
        ({"recipients": "any"}, "nosuch-y@corp.example", 250),
        (
            {"recipients": "list", "recipient_list": ("jane@corp.example",)},
            "Jane@corp.example",
            250,
        ),
        (
            {"recipients": "list", "recipient_list": ("jane@corp.example",)},
            "john@corp.example",
            550,
        ),
        (
            {"recipients": "list", "recipient_list": ("jane@corp.example",)},
            "jane@brand.example",
            550,
        ),
        ({"recipients": "list", "recipient_list": ()}, "abuse@brand.example", 250),
        ({"recipients": "list", "postmaster": "ops@corp.example"}, f"abuse@{HOST}", 250),
    ],
)
def test_other_ways_to_know_recipients(
    world: World, changes: dict[str, object], recipient: str, code: int
) -> None:
    world.switch([ONE], **changes)
    assert answer(world, 25, "x@stranger.example", recipient)[0] == code


def test_roles_go_to_the_address_that_is_configured(world: World) -> None:
    world.switch([ONE], postmaster="ops@corp.example", recipients="any")
    with world.session() as session:
        session.sendmail("x@stranger.example", ["postmaster@brand.example"], "Subject: x\r\n\r\n")
    until(lambda: [m for m in world.received("internal") if "<ops@corp.example>" in m["mail"]])
