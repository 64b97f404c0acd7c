"""The change guard: what it refuses, with which text, and what it allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.components.fake_engine import FakeContainer, FakeEngine
from tests.unit.partners.partner_files import load, record
from tlsgate.partners.diff import weakening_digest, weakenings
from tlsgate.partners.format import LIST_FILE, canonical_json
from tlsgate.partners.model import Mode, Partner
from tlsgate_pulumi.change_guard import refusal
from tlsgate_pulumi.delivery import DeliveryProvider

SERVER = "tlsgate-test-gateway"


def partner(number: int, **changes: str) -> str:
    return record(name=f"Partner {number:02}", domains=f"[p{number:02}.example]", **changes)


def partners(count: int, **changed: str) -> tuple[Partner, ...]:
    """A list of `count` partners. `changed`: the new record of a partner, such as p03; "": none."""
    files = {f"p{number:02}": partner(number) for number in range(count)} | changed
    return load(**{name: text for name, text in files.items() if text})


NETWORK = "{require: network, networks: [192.0.2.0/24]}"
ANY = "{mx: [.provider.example]}"
TEN = partners(10)
NINE = partners(9)
PASSED: dict[str, tuple[Sequence[Partner], Sequence[Partner]]] = {
    "first deployment": ((), TEN),
    "no change": (TEN, TEN),
    "one removed of ten": (TEN, partners(10, p03="")),
    "one weakened of ten": (TEN, partners(10, p03=partner(3, outbound=ANY))),
    "one weakened, one tightened, one added": (
        TEN,
        partners(11, p03=partner(3, subdomains="false"), p04=partner(4, inbound=NETWORK)),
    ),
    "all tightened": (
        TEN,
        partners(10, **{f"p{n:02}": partner(n, inbound=NETWORK) for n in range(10)}),
    ),
    "files renamed": (TEN, tuple(replace(one, file=f"{one.file}x") for one in TEN)),
    "partners renamed": (TEN, tuple(replace(one, name=f"{one.name} AG") for one in TEN)),
    "merged into one file's record": (
        TEN,
        (replace(TEN[0], domains=tuple(one.domains[0] for one in TEN)),),
    ),
}
REFUSED: dict[str, tuple[Sequence[Partner], Sequence[Partner]]] = {
    "two removed": (TEN, partners(10, p03="", p04="")),
    "two weakened": (
        TEN,
        partners(10, p03=partner(3, outbound=ANY), p04=partner(4, subdomains="false")),
    ),
    "one removed, one weakened": (TEN, partners(10, p03="", p04=partner(4, outbound=ANY))),
    "one of nine": (NINE, partners(9, p03="")),
    "the whole list": (TEN, ()),
    "two weakened by one record": (
        TEN,
        (
            *TEN[2:],
            replace(TEN[0], domains=(*TEN[0].domains, *TEN[1].domains), subdomains=False),
        ),
    ),
    "renamed and weakened": (
        TEN,
        (
            *(replace(one, name=f"{one.name} AG", mode=Mode.OBSERVE) for one in TEN[:2]),
            *TEN[2:],
        ),
    ),
}


@pytest.mark.parametrize(("old", "new"), PASSED.values(), ids=PASSED)
def test_is_allowed_without_confirmation(old: Sequence[Partner], new: Sequence[Partner]) -> None:
    assert refusal(old, new, "") is None


@pytest.mark.parametrize(("old", "new"), REFUSED.values(), ids=REFUSED)
def test_is_refused_without_its_own_digest(old: Sequence[Partner], new: Sequence[Partner]) -> None:
    digest = weakening_digest(weakenings(old, new))
    assert (
        f"\nIf you want all of this, run: pulumi config set tlsgate:acceptWeakening {digest}\n"
        f'In a program with MailGatewayArgs, set: accept_weakening="{digest}"\n'
    ) in (refusal(old, new, "") or "")
    assert refusal(old, new, "0" * 64) is not None
    assert refusal(old, new, digest) is None


def test_a_digest_allows_no_other_change() -> None:
    digests = {weakening_digest(weakenings(old, new)): name for name, (old, new) in REFUSED.items()}
    assert len(digests) == len(REFUSED)
    for digest, name in digests.items():
        others = [REFUSED[other] for other in REFUSED if other != name]
        assert all(refusal(old, new, digest) for old, new in others)


def test_the_text_of_a_refusal() -> None:
    old = partners(12)
    new = partners(12, p03="", p04=partner(4, outbound=ANY))
    digest = weakening_digest(weakenings(old, new))
    assert (refusal(old, new, "1" * 64) or "").splitlines() == [
        "this change removes or weakens 2 of 12 partners. More than one, or more than 10 % of the"
        " list, must be confirmed:",
        "  REMOVED Partner 03 (p03.example and below): removed from the list",
        "  WEAKENED Partner 04 (p04.example and below): out: a public CA's certificate for the"
        " domain itself → a public CA's certificate for .provider.example",
        f"If you want all of this, run: pulumi config set tlsgate:acceptWeakening {digest}",
        f'In a program with MailGatewayArgs, set: accept_weakening="{digest}"',
        "That allows this change and no other. The digest that is set now is that of another"
        " change.",
    ]


def test_a_long_refusal_is_shortened_and_says_so() -> None:
    lines = (refusal(partners(90), (), "") or "").splitlines()
    assert lines[21] == "  and 70 more"
    assert len(lines) == 25


def inputs(listed: Sequence[Partner], accepted: str = "") -> dict[str, Any]:
    """A Delivery's, as far as its check looks at them."""
    return {
        "server": SERVER,
        "files": {"main.cf": "a = b\n", LIST_FILE: canonical_json(listed)},
        "accept_weakening": accepted,
    }


def failures(olds: dict[str, Any], news: dict[str, Any]) -> list[str]:
    result = DeliveryProvider().check(olds, news)
    assert result.inputs is news
    return [failure.reason for failure in result.failures]


FEW = TEN[:8]
DIGEST = weakening_digest(weakenings(TEN, FEW))


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(("accepted", "count"), [("", 1), ("2" * 64, 1), (DIGEST, 0)])
def test_the_delivery_is_refused_by_the_list_in_the_state(accepted: str, count: int) -> None:
    assert len(failures(inputs(TEN), inputs(FEW, accepted))) == count


def test_the_list_in_the_state_is_preferred_to_the_containers(engine: FakeEngine) -> None:
    engine.running[SERVER] = holding(canonical_json(TEN))
    assert failures(inputs(FEW), inputs(FEW)) == []


@pytest.mark.parametrize("olds", [{}, {"files": {"main.cf": "a = b\n"}}])
@pytest.mark.parametrize("status", ["running", "exited"])
def test_without_a_list_in_the_state_the_containers_list_is_compared(
    engine: FakeEngine, olds: dict[str, Any], status: str
) -> None:
    engine.running[SERVER] = holding(canonical_json(TEN), status)
    assert len(failures(olds, inputs(FEW))) == 1
    assert failures(olds, inputs(TEN)) == []


def holding(text: str, status: str = "running") -> FakeContainer:
    return FakeContainer({}, status=status, content={LIST_FILE: text.encode()})


@pytest.mark.usefixtures("engine")
def test_a_first_deployment_has_nothing_to_compare_with() -> None:
    assert failures({}, inputs(TEN)) == []


def test_a_container_without_a_list_is_a_first_deployment(engine: FakeEngine) -> None:
    engine.running[SERVER] = FakeContainer({})
    assert failures({}, inputs(TEN)) == []


@pytest.mark.usefixtures("engine")
def test_a_delivery_without_a_list_is_allowed() -> None:
    news = {**inputs(TEN), "files": {"nginx.conf": ""}}
    assert failures(inputs(TEN), news) == []


def test_the_digest_alone_delivers_nothing() -> None:
    olds = {**inputs(TEN), "volume": "v", "generation": "g", "image": "i", "live": 1}
    news = {**olds, "accept_weakening": DIGEST}
    assert DeliveryProvider().diff("id", {**olds, "delivered": 1}, news).changes is False
