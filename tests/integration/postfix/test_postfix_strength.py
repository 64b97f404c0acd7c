"""Mail from partners when port 25 offers older encryption: each must meet its own record."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.postfix.pki import new_key
from tests.integration.postfix.world import HOST, World, partner
from tlsgate.partners.model import Inbound, Require
from tlsgate.tls import Strength, demand

pytestmark = pytest.mark.integration

AEAD, CBC = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256"


@pytest.fixture(scope="module", autouse=True)
def gateway(world: World, helper_image: str) -> Iterator[None]:
    """The gateway and the helper, with one partner that only supports older encryption."""
    key = new_key()
    world.put_certificate("1", key, world.authority.issue([HOST], key=key))
    own = Inbound(Require.NETWORK, networks=(world.subnet(),))
    world.deliver(
        [
            partner("one"),
            partner("near", inbound=own),
            partner("older", tls=Strength.COMPATIBLE),
        ],
        policy_host="helper",
    )
    world.add_helper(helper_image)
    world.start_gateway()
    yield


def rcpt(world: World, sender: str, suite: str = "", *, tls: bool = True) -> tuple[int, str]:
    with world.session(tls=tls, suite=suite) as session:
        assert session.docmd(f"MAIL FROM:<{sender}>")[0] == 250
        code, text = session.docmd("RCPT TO:<staff@corp.example>")
        return code, text.decode()


@pytest.mark.parametrize(
    ("sender", "cbc", "named"),
    [
        ("a@one.example", 450, "One"),
        ("a@x.one.example", 450, "One"),
        ("a@near.example", 450, "Near"),
        ("", 450, "Near"),  # from its network
        ("a@older.example", 250, ""),
        ("a@elsewhere.example", 250, ""),
    ],
)
def test_a_session_is_as_strong_as_the_sender_s_record_asks_for(
    world: World, sender: str, cbc: int, named: str
) -> None:
    assert rcpt(world, sender, AEAD)[0] == 250
    assert rcpt(world, sender)[0] == 250
    code, text = rcpt(world, sender, CBC)
    assert code == cbc
    assert not named or f"{named} requires {demand(Strength.STRONG)}" in text
    if sender != "a@elsewhere.example":
        assert rcpt(world, sender, tls=False)[0] == 450
