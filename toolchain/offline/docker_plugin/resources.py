"""The inputs that the stand-in implements, resource by resource.

Names are those of pulumi-docker 5.2's Python SDK on the wire (camelCase). What is not in a table
is refused by name.
"""

from __future__ import annotations

from typing import Final

from toolchain.offline.docker_plugin.properties import Kind, Property, Table

_DURATION: Final = r"([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+|0"


def _text(
    *,
    required: bool = False,
    in_place: bool = False,
    engine_fills: bool = False,
    default: str | None = None,
    pattern: str = "",
) -> Property:
    return Property(
        Kind.STRING,
        required=required,
        in_place=in_place,
        engine_fills=engine_fills,
        default=default,
        pattern=pattern,
    )


def _number(
    *,
    required: bool = False,
    in_place: bool = False,
    engine_fills: bool = False,
    default: int | None = None,
    minimum: int | None = 0,
) -> Property:
    return Property(
        Kind.INTEGER,
        required=required,
        in_place=in_place,
        engine_fills=engine_fills,
        default=default,
        minimum=minimum,
    )


def _flag(*, in_place: bool = False, engine_fills: bool = False, default: bool = False) -> Property:
    return Property(Kind.BOOLEAN, in_place=in_place, engine_fills=engine_fills, default=default)


_LABEL: Final[Table] = {"label": _text(required=True), "value": _text(required=True)}
_LABELS: Final = Property(Kind.OBJECT_SET, _LABEL)

NETWORK: Final[Table] = {
    "name": _text(engine_fills=True),
    "attachable": _flag(),
    "driver": _text(engine_fills=True),
    "internal": _flag(engine_fills=True),
    "ipv6": _flag(),
    "ipamDriver": _text(default="default"),
    "ipamConfigs": Property(
        Kind.OBJECT_SET,
        {
            "subnet": _text(),
            "ipRange": _text(),
            "gateway": _text(),
            "auxAddress": Property(Kind.MAP),
        },
        engine_fills=True,
    ),
    "labels": _LABELS,
    "options": Property(Kind.MAP, engine_fills=True),
}

VOLUME: Final[Table] = {
    "name": _text(engine_fills=True),
    "driver": _text(engine_fills=True),
    "driverOpts": Property(Kind.MAP),
    "labels": _LABELS,
}

REMOTE_IMAGE: Final[Table] = {
    "name": _text(required=True),
    "build": Property(
        Kind.OBJECT,
        {
            "context": _text(required=True),
            "dockerfile": _text(default="Dockerfile"),
            "buildArgs": Property(Kind.MAP),
            # The plugin records a change of these without building again: use `triggers`.
            "forceRemove": _flag(in_place=True),
            "label": Property(Kind.MAP, in_place=True),
            "labels": Property(Kind.MAP, in_place=True),
            "networkMode": _text(in_place=True),
            "noCache": _flag(in_place=True),
            "pullParent": _flag(in_place=True),
            "remove": _flag(in_place=True, default=True),
            "tags": Property(Kind.STRINGS, in_place=True),
            "target": _text(in_place=True),
        },
        nested=True,
        in_place=True,
    ),
    "forceRemove": _flag(in_place=True),
    "keepLocally": _flag(in_place=True),
    "triggers": Property(Kind.MAP),
}

CONTAINER: Final[Table] = {
    "name": _text(engine_fills=True),
    "image": _text(required=True),
    # Recorded, and used when the container is next made, read or removed.
    "attach": _flag(in_place=True),
    "destroyGraceSeconds": _number(in_place=True),
    "logs": _flag(in_place=True),
    "mustRun": _flag(in_place=True, default=True),
    "removeVolumes": _flag(in_place=True, default=True),
    "start": _flag(in_place=True, default=True),
    "wait": _flag(in_place=True),
    "waitTimeout": _number(in_place=True, default=60),
    # Only recorded when changed: the real plugin does not bring these to a running container.
    "healthcheck": Property(
        Kind.OBJECT,
        {
            "tests": Property(Kind.STRINGS, required=True),
            "interval": _text(default="0s", pattern=_DURATION),
            "timeout": _text(default="0s", pattern=_DURATION),
            "startPeriod": _text(default="0s", pattern=_DURATION),
            "retries": _number(default=0),
        },
        in_place=True,
        engine_fills=True,
    ),
    "init": _flag(in_place=True, engine_fills=True),
    "rm": _flag(in_place=True),
    "tmpfs": Property(Kind.MAP, in_place=True),
    # Changed on the running container.
    "cpuSet": _text(in_place=True, pattern=r"\d+([,-]\d+)*"),
    "cpuShares": _number(in_place=True),
    "maxRetryCount": _number(in_place=True, default=0),
    "memory": _number(in_place=True),
    "memorySwap": _number(in_place=True, engine_fills=True, minimum=-1),
    "restart": _text(in_place=True, default="no", pattern="no|on-failure|always|unless-stopped"),
    # Everything below replaces the container.
    "capabilities": Property(
        Kind.OBJECT, {"adds": Property(Kind.STRING_SET), "drops": Property(Kind.STRING_SET)}
    ),
    "command": Property(Kind.STRINGS, engine_fills=True),
    "dns": Property(Kind.STRING_SET),
    "dnsOpts": Property(Kind.STRING_SET),
    "dnsSearches": Property(Kind.STRING_SET),
    "domainname": _text(),
    "entrypoints": Property(Kind.STRINGS, engine_fills=True),
    "envs": Property(Kind.STRING_SET, engine_fills=True),
    "groupAdds": Property(Kind.STRING_SET),
    "hostname": _text(engine_fills=True),
    "hosts": Property(Kind.OBJECT_SET, {"host": _text(required=True), "ip": _text(required=True)}),
    "labels": Property(Kind.OBJECT_SET, _LABEL, engine_fills=True),
    "logDriver": _text(engine_fills=True),
    "logOpts": Property(Kind.MAP),
    "mounts": Property(
        Kind.OBJECT_SET,
        {
            "type": _text(required=True, pattern="bind|volume|tmpfs"),
            "target": _text(required=True),
            "source": _text(),
            "readOnly": _flag(),
            "bindOptions": Property(Kind.OBJECT, {"propagation": _text()}),
            "volumeOptions": Property(
                Kind.OBJECT,
                {
                    "noCopy": _flag(),
                    "labels": _LABELS,
                    "driverName": _text(),
                    "driverOptions": Property(Kind.MAP),
                },
            ),
            "tmpfsOptions": Property(Kind.OBJECT, {"mode": _number(), "sizeBytes": _number()}),
        },
    ),
    "networkMode": _text(default="bridge"),
    "networksAdvanced": Property(
        Kind.OBJECT_SET,
        {
            "name": _text(required=True),
            "aliases": Property(Kind.STRING_SET),
            "ipv4Address": _text(),
            "ipv6Address": _text(),
        },
    ),
    "ports": Property(
        Kind.OBJECTS,
        {
            "internal": _number(required=True),
            "external": _number(),
            "ip": _text(default="0.0.0.0"),  # noqa: S104 - the real plugin's default
            "protocol": _text(default="tcp"),
        },
    ),
    "privileged": _flag(),
    "readOnly": _flag(),
    "securityOpts": Property(Kind.STRING_SET, engine_fills=True),
    "shmSize": _number(engine_fills=True),
    "stopSignal": _text(engine_fills=True),
    "stopTimeout": _number(engine_fills=True),
    "sysctls": Property(Kind.MAP),
    "ulimits": Property(
        Kind.OBJECT_SET,
        {
            "name": _text(required=True),
            "soft": _number(required=True, minimum=-1),
            "hard": _number(required=True, minimum=-1),
        },
    ),
    "uploads": Property(
        Kind.OBJECT_SET,
        {
            "file": _text(required=True),
            "content": _text(),
            "contentBase64": _text(),
            "source": _text(),
            "sourceHash": _text(),
            "executable": _flag(),
            "permissions": _text(pattern="0[0-7]{3}"),
            "owner": _text(pattern=r"\d+"),
            "group": _text(pattern=r"\d+"),
        },
    ),
    "user": _text(engine_fills=True),
    "volumes": Property(
        Kind.OBJECT_SET,
        {
            "containerPath": _text(),
            "hostPath": _text(),
            "volumeName": _text(),
            "fromContainer": _text(),
            "readOnly": _flag(),
        },
    ),
    "workingDir": _text(engine_fills=True),
}

PROVIDER: Final[Table] = {
    "host": _text(pattern=r"(unix|tcp|http)://.+"),
    "version": _text(),
    "pluginDownloadURL": _text(),
}
