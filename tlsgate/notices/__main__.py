"""`python3 -m tlsgate.notices serve`, `… health` and `… alive`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tlsgate.notices.contract import PORT
from tlsgate.notices.health import alive, check


def main(arguments: list[str]) -> int:
    """The exit code of one of the commands. `TLSGATE_CONFIG`: the volume's mount, /config."""
    if arguments == ["health"]:
        return check(PORT)
    if arguments == ["alive"]:
        return alive(PORT)
    if arguments == ["serve"]:
        from tlsgate.notices.list_follower import ListFollower  # noqa: PLC0415  # only where it serves
        from tlsgate.notices.milter import serve  # noqa: PLC0415

        config = Path(os.environ.get("TLSGATE_CONFIG", "/config"))
        serve(ListFollower(config / "current"), "0.0.0.0", PORT)  # noqa: S104  # the stack's network
        return 0
    print("usage: python3 -m tlsgate.notices serve|health|alive", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
