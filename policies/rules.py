"""All rules of the pack, as Pulumi policies."""

from __future__ import annotations

from pulumi_policy import Policy

from policies import certificates, containers, mta_sts, partners, postfix, transports
from policies.rule import Rule, StackRule

RULES: tuple[Rule | StackRule, ...] = (
    *partners.RULES,
    *postfix.RULES,
    *transports.RULES,
    *mta_sts.RULES,
    *certificates.RULES,
    *containers.RULES,
)
POLICIES: tuple[Policy, ...] = tuple(rule.policy() for rule in RULES)
