"""Start the plugin: `python -m toolchain.offline.docker_plugin [engine address]`.

Pulumi's engine does so. It finds the plugin by an executable file
`pulumi-resource-docker` on PATH, which set-up writes:

    #!/bin/sh
    PYTHONPATH=<repository> exec <environment>/bin/python -P -m toolchain.offline.docker_plugin "$@"

without changing directory: a relative build context counts from the Pulumi project, where the
engine starts its plugins; -P keeps that project's modules out of the plugin.

Prints the port that it listens on (127.0.0.1) as its first line. Where the real plugin is
installed beside it, that one is run instead: the stand-in must never hide it. The variable
TLSGATE_DOCKER_PLUGIN=stand-in, set by the stand-in's own tests, says otherwise.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from toolchain.offline.docker_plugin import OVERRIDE_VARIABLE

_WORKERS: Final = 64
_LOOK_SECONDS: Final = 1.0
_MAX_MESSAGE_BYTES: Final = 400 * 1024 * 1024  # as Pulumi's own plugins


def installed_plugin(home: Path) -> Path | None:
    """Return the newest real plugin that is installed under the Pulumi home `home`."""
    found = []
    for candidate in home.glob("plugins/resource-docker-v*/pulumi-resource-docker"):
        match = re.fullmatch(r"resource-docker-v(\d+)\.(\d+)\.(\d+).*", candidate.parent.name)
        if match and os.access(candidate, os.X_OK):
            found.append((tuple(map(int, match.groups())), candidate))
    return max(found)[1] if found else None


def serve() -> None:
    """Serve until the engine ends the process, or is gone itself."""
    # Asked before the port is printed: an engine that has ended by then reads no port.
    engine = os.getppid()
    # Imported here: handing over to the real plugin needs none of it.
    import grpc  # noqa: PLC0415
    from pulumi.runtime.proto import provider_pb2_grpc  # noqa: PLC0415

    from toolchain.offline.docker_plugin.server import DockerPlugin  # noqa: PLC0415

    server = grpc.server(
        ThreadPoolExecutor(_WORKERS),
        options=[
            ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
        ],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(DockerPlugin(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    # The engine runs its plugins in process groups of their own and ends them with SIGINT; a user's
    # Ctrl-C arrives as a call of Cancel.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.stop(grace=None))
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    while server.wait_for_termination(_LOOK_SECONDS):  # true when time is up
        if os.getppid() != engine:
            server.stop(grace=None)


def main() -> None:
    """Hand over to the real plugin where there is one, otherwise serve."""
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    real = installed_plugin(home)
    if real and os.environ.get(OVERRIDE_VARIABLE) != "stand-in":
        os.execv(real, [str(real), *sys.argv[1:]])  # noqa: S606 - no shell is wanted
    serve()


if __name__ == "__main__":
    main()
