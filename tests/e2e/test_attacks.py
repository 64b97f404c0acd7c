"""The demo's attacks from outside on a partner's mail."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from lab.attacks import run_attacks
from lab.cases import BOUNCED, FLOODED, FORGED_MX, FORGED_MX_FREE, AttackCase
from lab.driver import Lab
from lab.trial import CaseResult

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def results(lab: Lab) -> Mapping[AttackCase, CaseResult]:
    return {one.case: one for one in run_attacks(lab) if isinstance(one.case, AttackCase)}


@pytest.mark.parametrize(
    "case", [FLOODED, FORGED_MX, FORGED_MX_FREE, BOUNCED], ids=lambda case: case.title
)
def test_an_attack_fails(results: Mapping[AttackCase, CaseResult], case: AttackCase) -> None:
    assert (results[case].outcome, results[case].fault) == (case.expected, "")
