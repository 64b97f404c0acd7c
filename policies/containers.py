"""Rules on containers and images: least privilege (D14), and no secrets in the environment."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pulumi_policy.proxy import UnknownValueError

from policies.rule import CONTAINER, IMAGE, JOB, CheckedResource, Rule, some

_SECRET_NAME = re.compile(
    r"passw|passphrase|secret|token|credential|(?:^|_)(?:api_?|private_?|access_?|hmac_?|tsig_?)?key$",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|://[^/@\s:]+:[^/@\s]+@")
_DIGEST = re.compile(r"(?:^|@)sha256:[0-9a-f]{64}$")
_HOST_MODES = ("networkMode", "pidMode", "ipcMode", "usernsMode")


def privileged(resource: CheckedResource) -> Iterator[str]:
    """Report containers that are privileged or can gain privileges."""
    if resource.props.get("privileged"):
        yield "it is privileged. Name the capabilities that it needs instead"
    options = [str(option).replace("=", ":") for option in resource.props.get("securityOpts") or ()]
    if not {"no-new-privileges", "no-new-privileges:true"} & set(options):
        yield "it may gain privileges. Set securityOpts: [no-new-privileges:true]"
    loose = [option for option in options if option.endswith((":unconfined", "label:disable"))]
    if loose:
        yield f"it disables the engine's own protection: {some(loose)}"


def capabilities(resource: CheckedResource) -> Iterator[str]:
    """Report capabilities that are not allowed. A job starts without any."""
    named = {str(name) for name in resource.options["allowed"]}
    if resource.type == JOB:
        added = resource.props.get("capabilities") or ()
    else:
        given = resource.props.get("capabilities") or {}
        added = given.get("adds") or ()
        if "ALL" not in {_capability(name) for name in given.get("drops") or ()}:
            yield "it keeps the engine's default capabilities. Drop ALL, and add what it needs"
    beyond = sorted({_capability(name) for name in added} - named)
    if beyond:
        yield f"it adds {some(beyond)}. Allowed: {some(sorted(named))}"


def _capability(name: object) -> str:
    return str(name).upper().removeprefix("CAP_")


def writable_root(resource: CheckedResource) -> Iterator[str]:
    """Report a writable root file system."""
    if not resource.props.get("readOnly"):
        yield "its root is writable. Set readOnly, and a tmpfs or a volume where it writes"


def host_namespaces(resource: CheckedResource) -> Iterator[str]:
    """Report namespaces shared with the host or another container."""
    for key in _HOST_MODES:
        mode = str(resource.props.get(key) or "")
        if mode == "host" or mode.startswith("container:"):
            yield f"its {key} is {mode}. Give it its own namespaces"


def engine_socket(resource: CheckedResource) -> Iterator[str]:
    """Report mounts of the engine's socket, or its folder: who can use it is root on the host."""
    mounts = [mount for mount in resource.props.get("mounts") or () if mount.get("type") == "bind"]
    paths = [str(mount.get("source") or "") for mount in mounts]
    paths += [str(volume.get("hostPath") or "") for volume in resource.props.get("volumes") or ()]
    for path in paths:
        folder = path.rstrip("/")
        reaches = "/var/run/docker.sock".startswith(f"{folder}/") or folder == "/run"
        if path and (path.endswith((".sock", ".socket")) or reaches):
            yield f"it mounts {path}, and with it the engine's socket. Remove the mount"


def limits(resource: CheckedResource) -> Iterator[str]:
    """Report containers without a memory limit or a health check."""
    if float(resource.props.get("memory") or 0) <= 0:
        yield "it has no memory limit. Set memory (MiB)"
    tests = list((resource.props.get("healthcheck") or {}).get("tests") or ())
    if not tests or tests[0] == "NONE":
        yield "it has no health check. Set healthcheck.tests"


def secret_variables(resource: CheckedResource) -> Iterator[str]:
    """Report secrets in the environment, which everyone who can read the state can see."""
    for entry in resource.props.get("envs") or ():
        name, _, value = str(entry).partition("=")
        named = _SECRET_NAME.search(name) and value and not value.startswith("/")
        if named or _SECRET_VALUE.search(value):
            yield f"its variable {name} contains a secret. Put it into a file on a volume"


def pinned(resource: CheckedResource) -> Iterator[str]:
    """Report images without a digest, whose content can change."""
    if resource.type == CONTAINER:
        try:
            image = str(resource.props.get("image") or "")
        except UnknownValueError:
            return  # built or pulled by this stack: its RemoteImage is checked
        found = [image]
    elif resource.props.get("build"):
        arguments = resource.props["build"].get("buildArgs") or {}
        found = [str(arguments[key]) for key in arguments if key.endswith("BASE_IMAGE")]
    else:
        found = [str(resource.props.get("name") or "")]
    for image in found:
        if not _DIGEST.search(image):
            yield f"{image} is not pinned. Write it with its digest: {image}@sha256:…"


RULES = (
    Rule("container-privileges", "No container is privileged.", (CONTAINER,), privileged),
    Rule(
        "container-capabilities",
        "A container has only the capabilities that are allowed.",
        (CONTAINER, JOB),
        capabilities,
        {
            "allowed": {
                "type": "array",
                "items": {"type": "string"},
                "default": [
                    *("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_BIND_SERVICE"),
                    *("SETGID", "SETUID"),
                ],
            }
        },
    ),
    Rule(
        "container-root",
        "A container's root file system is read-only.",
        (CONTAINER,),
        writable_root,
    ),
    Rule(
        "container-namespaces",
        "A container does not share namespaces with the host.",
        (CONTAINER,),
        host_namespaces,
    ),
    Rule(
        "container-engine-socket",
        "No container reaches the Docker engine.",
        (CONTAINER,),
        engine_socket,
    ),
    Rule(
        "container-limits",
        "A container has a memory limit and a health check.",
        (CONTAINER,),
        limits,
    ),
    Rule(
        "container-environment",
        "No secret is in a container's environment.",
        (CONTAINER,),
        secret_variables,
    ),
    Rule("images-pinned", "Images are pinned by digest.", (CONTAINER, IMAGE), pinned),
)
