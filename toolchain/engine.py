"""The Docker engine: the running one, or Debian's, started as a process of its own."""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Mapping
from enum import Enum, auto
from pathlib import Path
from typing import Final

from toolchain import dockerd
from toolchain.commands import answer
from toolchain.context import Context, Machine
from toolchain.debian import install
from toolchain.engine_api import DEFAULT_ADDRESS, AddressError, EngineApi, EngineError
from toolchain.errors import SetupError
from toolchain.progress import Done
from toolchain.versions import ENGINE_API_MINIMUM

PACKAGES: Final = ("docker.io", "containerd", "runc", "iptables", "iproute2")
_BY_HAND: Final = (
    "install and start Docker (https://docs.docker.com/engine/install/), then run set-up again"
)
_SERVICE_TIMEOUT: Final = 20.0


class Plan(Enum):
    """What to do where no engine answers."""

    INSTALL = auto()
    START = auto()


def plan(machine: Machine, address: str, *, installed: bool) -> Plan:
    """Decide what to do where nothing answers at `address`. Raise SetupError with what is left."""
    if address != DEFAULT_ADDRESS:
        raise SetupError(
            f"no Docker engine answers at {address}",
            "start it, or unset DOCKER_HOST (or choose another `docker context`)",
        )
    if not installed:
        if machine.installs:
            return Plan.INSTALL
        raise SetupError(
            "no Docker engine runs here and none is installed",
            _BY_HAND if not machine.debian else f"run set-up as root, or {_BY_HAND}",
        )
    if machine.systemd:
        raise SetupError(
            "the Docker engine is installed but does not run", "sudo systemctl start docker"
        )
    if not machine.root:
        raise SetupError(
            "the Docker engine is installed but does not run",
            "start it (`sudo service docker start`), or run set-up as root",
        )
    return Plan.START


def check_version(answered: Mapping[str, object], address: str) -> str:
    """Return the engine's version for the summary; raise SetupError when it is too old."""
    version, api = str(answered.get("Version", "?")), str(answered.get("ApiVersion", "0.0"))
    numbers = tuple(int(part) for part in api.split(".") if part.isdigit())
    if numbers < ENGINE_API_MINIMUM:
        wanted = ".".join(map(str, ENGINE_API_MINIMUM))
        raise SetupError(
            f"the Docker engine at {address} is too old: {version} (API {api}), "
            f"API {wanted} (Docker 20.10) or later is needed",
            "update Docker, or set DOCKER_HOST to a newer engine",
        )
    return f"{version} (API {api})"


def current_context(config: str) -> str | None:
    """Return what `docker context use` chose, from the text of ~/.docker/config.json."""
    try:
        chosen = json.loads(config).get("currentContext")
    except (ValueError, AttributeError):
        return None
    return chosen if isinstance(chosen, str) and chosen not in {"", "default"} else None


def address_of(context: Context) -> str:
    """Return where the user's engine is: what the docker command would use, without changing it."""
    environment = context.environment
    root = environment.get(dockerd.ROOT_VARIABLE)
    if root:
        return dockerd.private_address(Path(root))
    if environment.get("DOCKER_HOST"):
        return environment["DOCKER_HOST"]
    folder = environment.get("DOCKER_CONFIG") or str(Path.home() / ".docker")
    config = Path(folder) / "config.json"
    chosen = environment.get("DOCKER_CONTEXT") or (
        current_context(config.read_text()) if config.exists() else None
    )
    client = context.which("docker") if chosen else None
    if client and chosen:
        inspect = [str(client), "context", "inspect", chosen]
        found = answer([*inspect, "--format", "{{.Endpoints.docker.Host}}"], environment)
        return found or DEFAULT_ADDRESS
    return DEFAULT_ADDRESS


def engine(context: Context) -> tuple[str, Done]:
    """Make sure that an engine runs; return its address."""
    address = address_of(context)
    try:
        api = EngineApi(address)
    except AddressError as error:
        raise SetupError(
            f"the Docker engine's address {address} is of a kind that does not work here",
            "the lab's addresses must be reachable from this machine: use a local engine "
            "(DOCKER_HOST=unix:///…), or one in a local network (tcp://host:port)",
        ) from error
    found = _ask(api)
    source, changed = "running", False
    if found is None:
        with context.cache.alone("engine"):
            found = _ask(api)
            if found is None:
                source, changed = _bring_up(context, address), True
                found = api.version()
    elif dockerd.read_record(context.state):
        source = "started by set-up, `make clean` ends it"
    version = check_version(found, address)
    return address, Done(f"Docker engine {version}", source, changed=changed)


def _ask(api: EngineApi) -> dict[str, object] | None:
    try:
        return api.version()
    except EngineError as error:
        if isinstance(error.__cause__, PermissionError):
            user = getpass.getuser()
            raise SetupError(
                f"{user} may not use the Docker engine at {api.address}",
                f"sudo usermod -aG docker {user}, then log in again",
            ) from error
        if error.status:
            raise SetupError(
                f"the Docker engine at {api.address} answers: {error}", _BY_HAND
            ) from error
        return None


def _bring_up(context: Context, address: str) -> str:
    """Install what is missing, start the engine; return how it came to run."""
    private = bool(context.environment.get(dockerd.ROOT_VARIABLE))
    program = context.which("dockerd")
    asked_for = DEFAULT_ADDRESS if private else address
    machine = context.machine
    if plan(machine, asked_for, installed=program is not None) is Plan.INSTALL:
        install(context, PACKAGES, "the Docker engine")
        program = context.which("dockerd")
        # Where systemd runs, the package has started the service.
        if machine.systemd and not private and _wait(EngineApi(address)):
            return "installed from Debian"
    if program is None:
        raise SetupError("the package docker.io brought no dockerd", _BY_HAND)
    dockerd.start(context, program)
    return "started by set-up, `make clean` ends it"


def _wait(api: EngineApi) -> bool:
    deadline = time.monotonic() + _SERVICE_TIMEOUT
    while time.monotonic() < deadline:
        if _ask(api) is not None:
            return True
        time.sleep(0.5)
    return False
