"""The policy pack as Pulumi starts it; the rules are in `policies/rules.py`."""

from __future__ import annotations

import sys
from pathlib import Path

from pulumi_policy import PolicyPack

# Pulumi runs this folder as a program; the rules are imported from the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from policies.rules import POLICIES

PolicyPack(name="tlsgate", policies=list(POLICIES))
