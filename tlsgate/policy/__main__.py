"""`python3 -m tlsgate.policy serve`, `… health`, `… alive`, `… observations` and `… status`."""

from __future__ import annotations

import json
import os
import sys


def main(arguments: list[str]) -> int:
    """The exit code of one of the commands."""
    if arguments == ["serve"]:
        from tlsgate.policy.serve import run  # noqa: PLC0415  # the health check must stay quick

        return run(os.environ)
    if arguments == ["health"]:
        from tlsgate.policy.health import check  # noqa: PLC0415

        return check()
    if arguments == ["alive"]:
        from tlsgate.policy.health import alive  # noqa: PLC0415

        return alive()
    if arguments == ["observations"]:
        return _observations()
    if arguments == ["status"]:
        return _status()
    commands = "serve|health|alive|observations|status"
    print(f"usage: python3 -m tlsgate.policy {commands}", file=sys.stderr)
    return 2


def _observations() -> int:
    from tlsgate.policy.observations import read  # noqa: PLC0415
    from tlsgate.policy.serve import state_folder  # noqa: PLC0415

    try:
        print(json.dumps(read(state_folder(os.environ))))
    except (OSError, ValueError) as fault:
        print(f"the observations cannot be read: {fault}", file=sys.stderr)
        return 1
    return 0


def _status() -> int:
    from tlsgate.policy.status import ask  # noqa: PLC0415

    try:
        print(json.dumps(ask()))
    except (OSError, ValueError) as fault:
        print(f"the helper does not answer with its status: {fault}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
