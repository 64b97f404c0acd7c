"""MTA-STS (RFC 8461): a policy in mode enforce must name every MX host; else senders hold mail.

A sender compares the MX hosts of a domain with the policy of that domain alone (section 3.1). Each
policy is therefore compared with the MX records of the domains that it is served for: a program may
hold several gateways.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from policies.rule import DELIVERY, DNS_RECORDS, CheckedResource, StackRule

POLICY_FILE = "mta-sts.txt"
SERVER_FILE = "https.conf"
_SERVED = re.compile(r"(?<=\s)mta-sts\.([a-z0-9.-]+[a-z0-9])(?=[\s;])")
"""A domain in nginx's `server_name`."""


def missing_hosts(resources: list[CheckedResource]) -> Iterator[str]:
    """Report MX hosts that a policy in mode enforce does not name."""
    records = [found for one in resources if one.type == DNS_RECORDS for found in _mx(one)]
    for one in resources:
        if one.type != DELIVERY or POLICY_FILE not in one.files:
            continue
        modes, patterns = (_values(one.files[POLICY_FILE], key) for key in ("mode", "mx"))
        if modes != ["enforce"]:
            continue
        domains = set(_SERVED.findall(one.files.get(SERVER_FILE, "")))
        # A policy whose domains are not known is compared with all hosts.
        hosts = {host for domain, host in records if domain in domains or not domains}
        for host in sorted(hosts):
            if not any(_matches(host, pattern) for pattern in patterns):
                yield (
                    f"{host} is an MX host, but the policy in mode enforce does not name it:"
                    " senders would hold their mail"
                )


def _mx(records: CheckedResource) -> Iterator[tuple[str, str]]:
    """Yield domain and host of zone lines such as `corp.example. 300 IN MX 10 mx1.corp.example.`"""
    for line in records.props.get("wanted") or ():
        words = str(line).split()
        if len(words) == 6 and words[3] == "MX" and words[5] != ".":
            yield words[0].rstrip(".").lower(), words[5].rstrip(".").lower()


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
