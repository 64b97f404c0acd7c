"""Every accepted value can be rendered: it makes no later step fail or write other settings."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from tests.unit.components.stack_config import CONFIG, as_pulumi_gives, write_project
from tests.unit.render.test_postfix import parameters
from tlsgate.acme.config.agent_json import load
from tlsgate.acme.config.typed_json import to_json
from tlsgate.dns.records import zone_lines
from tlsgate.dns.sets import by_key, to_rdataset
from tlsgate.problems import ProblemsError
from tlsgate.render.dns_records import mta_sts_record
from tlsgate.render.mta_sts import policy_id, policy_text
from tlsgate.render.nexthop import lint_nexthops
from tlsgate.render.policy_host import PolicyHostSettings, render_policy_host
from tlsgate.render.postfix import render_postfix
from tlsgate.render.unbound import ResolverSettings, render_unbound
from tlsgate_pulumi.certificates import agent_config
from tlsgate_pulumi.inputs import raw_values
from tlsgate_pulumi.mta_sts import policy_settings
from tlsgate_pulumi.partner_list import postfix_settings
from tlsgate_pulumi.records import published_records
from tlsgate_pulumi.settings import Settings
from tlsgate_pulumi.settings_reader import parse_settings

RIGHT = raw_values(as_pulumi_gives(CONFIG))
LONG = ".".join(["a" * 60] * 3)
INJECTED = ("a\nb = c", "a\0b", "$a", "${a}", '"', "\\", "a; b", "\ud800", "\u202e", " ", "")
NAMES = (
    *("corp.example", "mta-sts.corp.example", "a.corp.example", "xn--bcher-kva.example", "co.uk"),
    *("A.example", "a.example.", ".a.example", "*.a.example", "a..b", "-a.example", "a_b.example"),
    *("a b.example", "bücher.example", "xn--a.example", f"{'a' * 64}.example", "example", ".", "*"),
    *(f"{LONG}.{'a' * size}.corp.example" for size in (20, 33, 34, 40, 47, 48, 57, 58, 60)),
)
ADDRESSES = (
    *("192.0.2.9", "1.2.3", "1.2.3.4.example", "::1", "::ffff:192.0.2.1", "2001:DB8::1"),
    *("fe80::1%eth0", "fe80::1%a\nb", "[::1]"),
)
NETWORKS = (
    *("10.0.0.0/8", "10.0.0.0/7", "::/16", "fe80::%a\nb/64", "192.0.2.0/255.255.255.0", "10/8"),
    *("192.0.2.0/28", "192.0.2.0/29", "2001:DB8::/32", "192.0.2.1", "::1", "0.0.0.0/0"),
)
ENDPOINTS = (
    *("[::1]:25", "[fe80::1%\n]:25", "[fe80::1%a]:25", "::1", "[a.example]:25", "A.Example:25"),
    *(
        "[a b]:25",
        "a.example:0",
        "a.example:65536",
        "a.example:\u0665",
        "a:b:25",
        "a",
        "25",
        "none",
    ),
    *("192.0.2.1", "192.0.2.1:25", "a_b:25", "a.example.:25", f"{LONG}.{'a' * 71}.example:25"),
)
HOPS = (
    *("smtp:", "smtp:a.example", "smtp:[a b]", "lmtp:a.example", "smtp:smtp:a", "SMTP:a", "a:25"),
    *("[a.example]:587", "[::1]:25", "a.example:999999", "error:no", "a,b", "smtp:[::1]"),
)
URIS = (
    *(
        "https://a.example",
        "https://",
        "https://[::1",
        "https://[::1]/",
        "https://a:b/",
        "http://a",
    ),
    *("https://ä.example/", "mailto:a@b.example", "mailto:ä@b.example", "mailto:a,b;c!@b", "a@b"),
    *("https://a b", "mailto:@b", "mailto:a@b\nc", "https://a/\u2028"),
)
DURATIONS = ("1s", "0s", "100d", "101d", "14w", "15w", "5d ", "5D", "\u0665d", "9" * 12 + "w", 5)
MILTERS = ("inet:a:1", "inet:[::1]:1", "unix:/a b", "unix:/a", "inet:a b:1", "{ a, b }", "a:1")
WORDS = (
    *("none", "may", "encrypt", "secure", "enforce", "testing", "rfc2136", "manual", "dns-01"),
    *("http-01", "true", "false", "shortlived", "debian:12", 0, 30, 86_400, "1_000", "1e5", True),
)
KINDS: dict[str, tuple[Any, ...]] = {
    "domains": NAMES,
    "name": NAMES,
    "zones": NAMES,
    "caaIssuers": NAMES,
    "probe": NAMES,
    "addresses": ADDRESSES,
    "stubZones": ADDRESSES,
    "networks": NETWORKS,
    "subnet": NETWORKS,
    "server": ENDPOINTS,
    "agentServer": ENDPOINTS,
    "ports": ENDPOINTS,
    "routes": HOPS,
    "relayhost": HOPS,
    "directory": URIS,
    "contact": URIS,
    "tlsRpt": URIS,
    "queue": DURATIONS,
    "milters": MILTERS,
}
"""Values that are right or nearly right, by the innermost key that determines their kind."""
EVERYTHING = (*(value for kind in KINDS.values() for value in kind), *WORDS, *INJECTED)
LISTS = {"domains", "addresses", "networks", "zones", "caaIssuers", "contact", "milters"}
anything = st.one_of(
    st.sampled_from(EVERYTHING),
    st.text(max_size=12),
    st.integers(-1, 1 << 33),
    st.none(),
    st.lists(st.sampled_from(EVERYTHING), max_size=3),
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(EVERYTHING), max_size=2),
)


def nearly_right(path: tuple[Any, ...]) -> Iterator[Any]:
    """Values for a place of the config; for a list, lists of one."""
    kind = next((KINDS[step] for step in reversed(path) if step in KINDS), WORDS)
    is_list = path[-1] in LISTS or ("stubZones" in path[:-1] and not isinstance(path[-1], int))
    for value in (*kind, *INJECTED):
        yield [value] if is_list else value


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every value of the config but the files' names, and a place for one more in lists."""
    if isinstance(node, dict):
        for key, value in node.items():
            if not key.endswith("File"):
                yield (*path, key)
                yield from places(value, (*path, key))
    if isinstance(node, list):
        yield (*path, len(node))
        for position, value in enumerate(node):
            yield (*path, position)
            yield from places(value, (*path, position))


UNSET = [
    *[("messageSize",), ("deleteData",), ("partners",), ("ports", "internal"), ("ports", "https")],
    *[("acme", "challenge"), ("acme", "profile"), ("dns", "sink"), ("internal", "requireTls")],
    *[("queue", "lifetime"), ("queue", "delayWarning"), ("images", "base"), ("ports", "http")],
    *[("inbound", "nullSender"), ("inbound", "ownSenders")],
    *[("resolver", "stubZones", name) for name in NAMES],
    *[("routes", name) for name in NAMES],
]
PLACES = [*places(RIGHT), *UNSET]


def apply(changes: list[tuple[tuple[Any, ...], Any]]) -> dict[str, Any]:
    """The right config with values replaced or added; changes that found no place are left out."""
    config = copy.deepcopy(RIGHT)
    for (*parents, last), value in changes:
        node: Any = config
        try:
            for step in parents:
                node = node[step] if isinstance(node, list) else node.setdefault(step, {})
            if isinstance(node, list) and last == len(node):
                node.append(value)
            else:
                node[last] = value
        except (AttributeError, IndexError, KeyError, TypeError):
            continue
    return config


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the files that the config names, which is the current one."""
    folder = tmp_path_factory.mktemp("renders")
    write_project(folder, CONFIG)
    (folder / "agent.tsig").write_text((folder / "agent.key").read_text())
    (folder / "challenge").mkdir()
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


def render(settings: Settings, folder: Path) -> dict[str, str]:
    """Everything that is made from settings: what it is → its text. Raises what they raise."""
    postfix = render_postfix(postfix_settings(settings), [])
    policy = policy_settings(settings)
    host = render_policy_host(PolicyHostSettings(settings.domains, policy))
    identifier = policy_id(policy_text(policy))
    ids = [mta_sts_record(domain, identifier, settings.dns.ttl) for domain in settings.domains]
    records = [*published_records(settings), *ids]
    for record in by_key(records).values():
        to_rdataset(record)
    agent = to_json(agent_config(settings))
    for inside, outside in (("/config/", f"{folder}/"), ("/challenge", f"{folder}/challenge")):
        agent = agent.replace(f'"{inside}', f'"{outside}')
    (folder / "agent.json").write_text(agent)
    load(folder / "agent.json")
    resolver = settings.resolver
    unbound = ResolverSettings(dict(resolver.stub_zones), "", (settings.network.subnet,))
    return {
        **postfix,
        **host,
        "records": zone_lines(records),
        "unbound.conf": render_unbound(unbound),
    }


def words(text: str) -> set[str]:
    """The names of the settings in a file of unbound, and in the policy."""
    return {line.split(":")[0] for line in text.splitlines()}


def check(changes: list[tuple[tuple[Any, ...], Any]]) -> bool:
    """Whether the changed config is accepted; if so, it must render, without new settings."""
    try:
        settings = parse_settings(apply(changes), lambda _: ("", 0))
    except ProblemsError as error:
        assert all(problem.key.startswith("tlsgate:") for problem in error.problems)
        return False
    if lint_nexthops((), dict(settings.routes), settings.domains, settings.relayhost or ""):
        return False  # refused too, by parse_inputs
    right, made = render_right(), render(settings, Path.cwd())
    assert parameters(made["main.cf"]).keys() == parameters(right["main.cf"]).keys()
    assert words(made["unbound.conf"]) <= words(right["unbound.conf"])
    assert words(made["mta-sts.txt"]) == words(right["mta-sts.txt"])
    assert len(made["routes"].splitlines()) == len(settings.routes)
    for file in ("main.cf", "master.cf", "routes", "unbound.conf", "https.conf", "records"):
        assert re.fullmatch(r"[\x20-\x7e\n\t]*", made[file])
    return True


@cache
def render_right() -> dict[str, str]:
    return render(parse_settings(RIGHT, lambda _: ("", 0)), Path.cwd())


@pytest.mark.parametrize("kind", [*KINDS, "other"])
def test_no_value_that_is_accepted_fails_later(kind: str) -> None:
    accepted = []
    for path in PLACES:
        if next((step for step in reversed(path) if step in KINDS), "other") == kind:
            accepted += [check([(path, value)]) for value in nearly_right(path)]
    assert 0 < sum(accepted) < len(accepted)


@effort(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), anything), min_size=1, max_size=2))
def test_nothing_that_is_accepted_fails_later(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    check(changes)


@effort(max_examples=100, deadline=None)
@given(
    st.from_regex(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.){0,4}corp\.example", fullmatch=True),
    st.from_regex(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.){0,4}corp\.example", fullmatch=True),
)
def test_a_name_of_any_length_renders_or_is_refused(domain: str, host: str) -> None:
    check([(("domains",), ["corp.example", domain]), (("gateways", 0, "name"), host)])
