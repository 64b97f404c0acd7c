"""Starts and removes the lab: `python -m lab.bring_up [down]`.

Pulumi creates the containers. The public CA's roots exist only then and are fetched last.
"""

from __future__ import annotations

import ssl
import sys
import urllib.request

import docker
from docker.errors import DockerException

from lab import files, plan
from lab.commands import GATEWAY, LAB, LabError, changes, down, up
from lab.driver import Lab
from lab.endpoints import LOOPBACK, write_endpoints

ROOTS = files.PKI / "public-roots.pem"


def engine() -> docker.DockerClient:
    """The Docker engine."""
    try:
        return docker.from_env(timeout=120)
    except DockerException as error:
        raise LabError(
            f"no Docker engine answers ({error}): start it, or set DOCKER_HOST"
        ) from None


def bring_up(client: docker.DockerClient) -> str:
    """Deploy the lab, wait until all of it answers, and write `endpoints.json`.

    Returns a one-line summary of the changes.
    """
    said = up(LAB, client)
    lab = Lab(client)
    lab.await_servers()
    _fetch_roots(lab)
    for peer in plan.PEERS:
        lab.undo_repair(peer.name)
    write_endpoints()
    return changes(said)


def _fetch_roots(lab: Lab) -> None:
    """Write the public roots: the lab's own, and Pebble's, which is new at each start of Pebble."""
    context = ssl.create_default_context(cafile=str(files.PKI / "pebble-ca.pem"))
    url = f"https://{LOOPBACK}:{plan.ACME_MANAGEMENT_PORT}/roots/0"
    with urllib.request.urlopen(url, context=context, timeout=10) as answer:
        root = answer.read().decode()
    bundle = (files.PKI / "public-ca.pem").read_text() + root.strip() + "\n"
    files.write(ROOTS, bundle)
    if files.write(files.PEERS / "internal" / "roots.pem", bundle):
        lab.apply("internal")


def _require_no_gateway(client: docker.DockerClient) -> None:
    """Raise LabError if the gateway's containers still use the lab's network."""
    if client.containers.list(all=True, filters={"label": GATEWAY.label}):
        raise LabError(
            f"the gateway of stack {GATEWAY.name} is in the lab: first run"
            f" `pulumi destroy --stack {GATEWAY.name}` in {GATEWAY.directory}, or `make clean`"
        )


def main(arguments: list[str]) -> int:
    """The command line."""
    try:
        if arguments == ["down"]:
            _require_no_gateway(engine())
            down(LAB)
            files.ENDPOINTS.unlink(missing_ok=True)
        elif not arguments:
            print(f"lab: {bring_up(engine())}; see {files.ENDPOINTS}")
        else:
            print("usage: python -m lab.bring_up [down]", file=sys.stderr)
            return 2
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
