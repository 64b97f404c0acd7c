"""Records that a program has put together get every check that the folder's files get."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.unit.partners.partner_files import TODAY, load, record
from tlsgate.partners.load import check_partners, load_partners
from tlsgate.partners.model import Inbound, Mode, Outbound, Partner, Require, Verify
from tlsgate.problems import ProblemsError

(ACME,) = (replace(one, file="") for one in load(acme=record()))
CHILD = replace(ACME, name="Child", domains=("x.acme.example",), mode=Mode.OBSERVE)


def refused(*partners: Partner, own: tuple[str, ...] = ("corp.example",)) -> list[str]:
    """The lines that the user sees, without the count."""
    with pytest.raises(ProblemsError) as error:
        check_partners(partners, own_domains=own, today=TODAY)
    return str(error.value).splitlines()[:-1]


def test_a_valid_list_stays_as_it_is_in_the_order_of_names() -> None:
    found = load(
        beta=record(name="Beta", domains="[beta.example]", inbound="{networks: [192.0.2.0/28]}"),
        acme=record(exceptions="[]", outbound="{verify: pkix, mx: [.mail.acme.example]}"),
    )
    assert check_partners(found[::-1], own_domains=["corp.example"], today=TODAY) == found
    assert [one.file for one in check_partners(found)] == [one.file for one in found]


def test_no_partners_are_a_list_too() -> None:
    assert check_partners([]) == ()


@pytest.mark.parametrize("order", [1, -1])
def test_a_domain_below_another_partners_is_refused_in_any_order(order: int) -> None:
    (line,) = refused(*[ACME, CHILD][::order])
    child, above = ((1, 0), (0, 1))[order < 0]
    assert line == (
        f"partners[{child}] (Child): domains[0]: `x.acme.example` is below `acme.example`, which"
        f" partners[{above}] (Acme Motors AG) lists with its subdomains. Keep it in one of the two"
        f" records, or write `subdomains: false` in partners[{above}] (Acme Motors AG)."
        " [domain-overlap]"
    )


def test_two_folders_with_the_same_partner_are_told_by_their_files() -> None:
    one, other = (replace(ACME, file=f"{folder}/acme.yaml") for folder in ("a", "b"))
    assert refused(one, other) == [
        "b/acme.yaml (Acme Motors AG): domains[0]: `acme.example` is already in a/acme.yaml (Acme"
        " Motors AG). Keep it in one of the two records. [domain-doubled]",
        "b/acme.yaml (Acme Motors AG): name: `Acme Motors AG` is already in a/acme.yaml (Acme"
        " Motors AG). Merge the two records, or give each its own name. [name-doubled]",
    ]


@pytest.mark.parametrize("own", ["acme.example", "corp.acme.example"])
def test_a_partner_with_an_own_domain_is_refused(own: str) -> None:
    (line,) = refused(ACME, own=(own,))
    assert line.endswith("[own-domain]")
    assert line.startswith("partners[0] (Acme Motors AG): domains[0]: ")


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"agreed": date(2030, 1, 1), "review": date(2031, 1, 1)}, "agreed: 2030-01-01 is in the"),
    ({"domains": ()}, "domains: is missing"),
    ({"domains": ("acme.example b\nacme.example may",)}, "domains[0]: "),
    ({"domains": ("Acme.Example",)}, "domains[0]: "),
    ({"name": "Acme\nmode: observe"}, "name: "),
    ({"outbound": Outbound(Verify.PIN)}, "outbound.public_keys: is needed"),
    ({"inbound": Inbound(Require.NETWORK)}, "inbound.networks: is needed"),
    ({"inbound": Inbound(Require.CERTIFICATE)}, "inbound.public_keys: is needed"),
    ({"mode": "enforce"}, "is not a valid record"),
    ({"domains": None}, "is not a valid record"),
]


@pytest.mark.parametrize(("changes", "said"), BROKEN)
def test_a_record_that_no_file_could_hold_is_refused(changes: dict[str, Any], said: str) -> None:
    lines = refused(replace(ACME, **changes))
    assert any(said in line for line in lines), lines
    assert all(line.startswith("partners[0] (Acme") for line in lines)


def test_a_folder_may_be_a_string(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text(record())
    assert load_partners(str(tmp_path)) == load_partners(tmp_path)
