"""`python3 -m tlsgate.policy serve` and `… health`."""

from __future__ import annotations

import os
import sys


def main(arguments: list[str]) -> int:
    """The exit code of one of the two commands."""
    if arguments == ["serve"]:
        from tlsgate.policy.serve import run  # noqa: PLC0415  # the health check must stay quick

        return run(os.environ)
    if arguments == ["health"]:
        from tlsgate.policy.health import check  # noqa: PLC0415

        return check()
    print("usage: python3 -m tlsgate.policy serve|health", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
