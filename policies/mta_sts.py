"""MTA-STS (RFC 8461): a policy in mode enforce must name every MX host; else senders hold mail."""

from __future__ import annotations

from collections.abc import Iterator

from policies.rule import DELIVERY, DNS_RECORDS, CheckedResource, StackRule

POLICY_FILE = "mta-sts.txt"


def missing_hosts(resources: list[CheckedResource]) -> Iterator[str]:
    """Report MX hosts that a policy in mode enforce does not name."""
    hosts = sorted(
        {host for one in resources if one.type == DNS_RECORDS for host in _mx_hosts(one)}
    )
    for one in resources:
        if one.type != DELIVERY or POLICY_FILE not in one.files:
            continue
        modes, patterns = (_values(one.files[POLICY_FILE], key) for key in ("mode", "mx"))
        if modes != ["enforce"]:
            continue
        for host in hosts:
            if not any(_matches(host, pattern) for pattern in patterns):
                yield (
                    f"{host} is an MX host, but the policy in mode enforce does not name it:"
                    " senders would hold their mail"
                )


def _mx_hosts(records: CheckedResource) -> Iterator[str]:
    """Yield the hosts in zone lines such as `corp.example. 300 IN MX 10 mx1.corp.example.`"""
    for line in records.props.get("wanted") or ():
        words = str(line).split()
        if len(words) == 6 and words[3] == "MX" and words[5] != ".":
            yield words[5].rstrip(".").lower()


def _values(policy: str, key: str) -> list[str]:
    pairs = (line.partition(":") for line in policy.splitlines())
    return [value.strip().lower() for name, _, value in pairs if name.strip() == key]


def _matches(host: str, pattern: str) -> bool:
    """Match as in RFC 8461, section 4.1: `*.` matches exactly one label."""
    if pattern.startswith("*."):
        return host.partition(".")[2] == pattern[2:]
    return host == pattern


RULES = (
    StackRule(
        "mta-sts-hosts",
        "An MTA-STS policy in mode enforce names every MX host.",
        (DELIVERY, DNS_RECORDS),
        missing_hosts,
    ),
)
