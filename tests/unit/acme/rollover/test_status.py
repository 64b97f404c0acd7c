"""What `status` says of a certificate."""

from __future__ import annotations

from pathlib import Path

from tests.unit.acme.acme_bench import DAY
from tests.unit.acme.acme_pki import NOW
from tests.unit.acme.rollover_world import NAME, OWNER, TTL, World
from tlsgate.acme.agent.status import as_text
from tlsgate.acme.certificate import facts
from tlsgate.acme.faults import AcmeFault


def test_status(world: World) -> None:
    entry = world.status()
    served = entry["served"]
    assert (served["names"], served["issuer"]) == ([NAME], "https://ca.example/dir")
    assert entry["renewal"]["at"] < (NOW + 60 * DAY).isoformat()
    assert entry["tlsa"] == [
        {
            "owner": OWNER,
            "values": [f"3 1 1 {served['spki_sha256']}"],
            "ttl": TTL,
            "seen": NOW.isoformat(),
        }
    ]
    assert entry["failure"] is entry["rollover"] is None
    assert entry["kept"] == []
    world.operator().rotate([NAME], now=False, revoke=False)
    world.look(1)
    world.ca_fault = AcmeFault("the CA refused: too many\n  ask later", "wait")
    world.operator().renew([NAME])
    world.look(1)
    words = as_text(world.status())
    assert "  roll-over step spread (a person asked for it)" in words
    assert "until 2026-11-25 12:00:41 UTC" in words
    assert "  failed    1 in a row, again at 2026-11-25 12:01:02 UTC: the CA refused" in words
    assert facts((world.store.path / "current/fullchain.pem").read_bytes()).serial in words
    assert words.count("3 1 1 ") == 2


def test_status_before_anything_is_there(tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    entry = world.status()
    assert entry["served"] is entry["renewal"] is entry["next_rollover"] is None
    assert as_text(entry) == f"{NAME} (mx)\n  not issued yet, for {NAME}"
