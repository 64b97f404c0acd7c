"""The change guard with the real CLI: which changes pass, and that it cannot be bypassed.

Only previews: nothing is deployed. test_partner_change.py deploys an accepted change.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import files
from tests.e2e.conftest import World
from tests.e2e.deployment import Deployment, PulumiResult, accept, demo_config, write_config

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("world")]

DELIVERY = (
    "urn:pulumi:demo::tlsgate::tlsgate:index:MailGateway$tlsgate:index:PartnerList"
    "$pulumi-python:dynamic/tlsgate:Delivery::gateway-partner-list"
)
REFUSED = (
    "this change removes or weakens 2 of 17 partners. More than one, or more than 10 % of the"
    " list, must be confirmed:"
)


def remove(*names: str) -> Callable[[Path], None]:
    def edit(partners: Path) -> None:
        for name in names:
            (partners / f"{name}.yaml").unlink()

    return edit


def rename(partners: Path) -> None:
    for file in partners.glob("*.yaml"):
        file.rename(file.with_name(f"renamed-{file.name}"))


def rename_and_remove(partners: Path) -> None:
    remove("good", "plain")(partners)
    rename(partners)


TWO = remove("good", "plain")


@pytest.fixture
def config(tmp_path: Path, world: World) -> Path:
    """The demo's config with a copy of its list, in the folder `partners` beside it."""
    partners = shutil.copytree(files.LAB / "partners", tmp_path / "partners")
    values = demo_config()
    values["config"]["tlsgate:partners"] = str(partners)
    return write_config(tmp_path / "Pulumi.demo.yaml", values)


def preview(config: Path, *options: str) -> PulumiResult:
    return Deployment(options=("--config-file", str(config), *options)).preview()


@pytest.mark.parametrize("edit", [remove("good"), rename], ids=["one removed", "files renamed"])
def test_passes_without_acceptance(config: Path, edit: Callable[[Path], None]) -> None:
    edit(config.parent / "partners")
    said = preview(config)
    assert said.code == 0, said.text


@pytest.mark.parametrize(
    ("edit", "options"),
    [
        (TWO, ()),
        (rename_and_remove, ()),
        (TWO, ("--refresh",)),
        (TWO, ("--target", DELIVERY)),
        (TWO, ("--target-replace", DELIVERY)),
    ],
    ids=["two removed", "and files renamed", "refresh", "target", "replace"],
)
def test_is_refused(config: Path, edit: Callable[[Path], None], options: tuple[str, ...]) -> None:
    edit(config.parent / "partners")
    said = preview(config, *options)
    assert said.code != 0
    assert REFUSED in said.text
    assert "REMOVED Good Motors AG (good.example and below): removed from the list" in said.text


def test_a_digest_lets_its_own_change_through_and_no_other(config: Path) -> None:
    partners = config.parent / "partners"
    TWO(partners)
    accept(config, preview(config))
    said = preview(config)
    assert said.code == 0, said.text
    remove("dane")(partners)
    said = preview(config)
    assert said.code != 0
    assert "What is set there now is another change's." in said.text
