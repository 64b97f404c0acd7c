"""Container inputs to the body of `POST /containers/create`, and back. Pure.

Implements the mapping of the real plugin onto the Docker engine API 1.41.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from toolchain.offline.docker_plugin.failures import PluginError

_MEGABYTE: Final = 1024 * 1024
_NANOSECONDS: Final = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}


def create_body(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request body that makes the container of `inputs` (all of them known)."""
    body: dict[str, Any] = {
        "Image": inputs["image"],
        "Hostname": inputs.get("hostname"),
        "Domainname": inputs.get("domainname"),
        "Env": inputs.get("envs"),
        "Cmd": inputs.get("command"),
        "Entrypoint": inputs.get("entrypoints"),
        "User": inputs.get("user"),
        "WorkingDir": inputs.get("workingDir"),
        "Labels": labels_map(inputs.get("labels")),
        "StopSignal": inputs.get("stopSignal"),
        "StopTimeout": inputs.get("stopTimeout"),
        "Healthcheck": _healthcheck(inputs.get("healthcheck")),
        "ExposedPorts": {_port_key(port): {} for port in inputs.get("ports", [])},
        "Volumes": {
            volume["containerPath"]: {}
            for volume in inputs.get("volumes", [])
            if volume.get("containerPath") and not _bind_source(volume)
        },
        "HostConfig": _host_config(inputs),
    }
    return _without_empty(body)


def _host_config(inputs: Mapping[str, Any]) -> dict[str, Any]:
    capabilities = inputs.get("capabilities", {})
    return _without_empty(
        {
            "AutoRemove": inputs.get("rm", False),
            "Binds": [_bind(v) for v in inputs.get("volumes", []) if _bind_source(v)],
            "CapAdd": capabilities.get("adds"),
            "CapDrop": capabilities.get("drops"),
            "CpuShares": inputs.get("cpuShares"),
            "CpusetCpus": inputs.get("cpuSet"),
            "Dns": inputs.get("dns"),
            "DnsOptions": inputs.get("dnsOpts"),
            "DnsSearch": inputs.get("dnsSearches"),
            "ExtraHosts": [f"{h['host']}:{h['ip']}" for h in inputs.get("hosts", [])],
            "GroupAdd": inputs.get("groupAdds"),
            # Never left to the daemon's default: the real plugin sends it always.
            "Init": inputs.get("init", False),
            "LogConfig": _without_empty(
                {"Type": inputs.get("logDriver"), "Config": inputs.get("logOpts")}
            ),
            "Memory": inputs.get("memory", 0) * _MEGABYTE,
            "MemorySwap": _swap_bytes(inputs.get("memorySwap", 0)),
            "Mounts": [_mount(mount) for mount in inputs.get("mounts", [])],
            "NetworkMode": inputs.get("networkMode"),
            "PortBindings": _port_bindings(inputs.get("ports", [])),
            "Privileged": inputs.get("privileged", False),
            "ReadonlyRootfs": inputs.get("readOnly", False),
            "RestartPolicy": restart_policy(inputs),
            "SecurityOpt": inputs.get("securityOpts"),
            "ShmSize": inputs.get("shmSize", 0) * _MEGABYTE,
            "Sysctls": inputs.get("sysctls"),
            "Tmpfs": inputs.get("tmpfs"),
            "Ulimits": [
                {"Name": u["name"], "Soft": u["soft"], "Hard": u["hard"]}
                for u in inputs.get("ulimits", [])
            ],
            "VolumesFrom": [
                v["fromContainer"] for v in inputs.get("volumes", []) if v.get("fromContainer")
            ],
        }
    )


def update_body(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request body of `POST /containers/{id}/update` for `inputs`."""
    return {
        "RestartPolicy": restart_policy(inputs),
        **_without_empty(
            {
                "CpuShares": inputs.get("cpuShares"),
                "CpusetCpus": inputs.get("cpuSet"),
                "Memory": inputs.get("memory", 0) * _MEGABYTE,
                "MemorySwap": _swap_bytes(inputs.get("memorySwap", 0)),
            }
        ),
    }


def restart_policy(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the engine's restart policy of `inputs`."""
    return {
        "Name": inputs.get("restart") or "no",
        "MaximumRetryCount": inputs.get("maxRetryCount", 0),
    }


def labels_map(labels: Sequence[Mapping[str, str]] | None) -> dict[str, str]:
    """Return a list of label objects as the engine's map."""
    return {label["label"]: label["value"] for label in labels or ()}


def nanoseconds(duration: str) -> int:
    """Return a Go duration such as `1m30s` or `500ms` in nanoseconds."""
    if duration == "0":
        return 0
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)(ns|us|ms|s|m|h)", duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise PluginError(f"{duration!r} is not a duration; write for example '5s' or '1m30s'")
    return round(sum(float(number) * _NANOSECONDS[unit] for number, unit in parts))


def _healthcheck(check: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if check is None:
        return None
    return {
        "Test": check["tests"],
        "Interval": nanoseconds(check.get("interval", "0s")),
        "Timeout": nanoseconds(check.get("timeout", "0s")),
        "StartPeriod": nanoseconds(check.get("startPeriod", "0s")),
        "Retries": check.get("retries", 0),
    }


def _mount(mount: Mapping[str, Any]) -> dict[str, Any]:
    bind, volume = mount.get("bindOptions"), mount.get("volumeOptions")
    tmpfs = mount.get("tmpfsOptions")
    return _without_empty(
        {
            "Type": mount["type"],
            "Target": mount["target"],
            "Source": mount.get("source"),
            "ReadOnly": mount.get("readOnly", False),
            "BindOptions": bind and _without_empty({"Propagation": bind.get("propagation")}),
            "VolumeOptions": volume
            and _without_empty(
                {
                    "NoCopy": volume.get("noCopy", False),
                    "Labels": labels_map(volume.get("labels")),
                    "DriverConfig": _without_empty(
                        {"Name": volume.get("driverName"), "Options": volume.get("driverOptions")}
                    ),
                }
            ),
            "TmpfsOptions": tmpfs
            and _without_empty({"SizeBytes": tmpfs.get("sizeBytes"), "Mode": tmpfs.get("mode")}),
        }
    )


def _bind_source(volume: Mapping[str, Any]) -> str | None:
    return volume.get("volumeName") or volume.get("hostPath")


def _bind(volume: Mapping[str, Any]) -> str:
    mode = "ro" if volume.get("readOnly") else "rw"
    return f"{_bind_source(volume)}:{volume['containerPath']}:{mode}"


def _port_key(port: Mapping[str, Any]) -> str:
    return f"{port['internal']}/{port.get('protocol') or 'tcp'}"


def _port_bindings(ports: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        binding = {
            "HostIp": port.get("ip") or "0.0.0.0",  # noqa: S104 - the real plugin's default
            "HostPort": str(port.get("external") or ""),
        }
        bindings.setdefault(_port_key(port), []).append(binding)
    return bindings


def _swap_bytes(megabytes: int) -> int:
    return megabytes * _MEGABYTE if megabytes > 0 else megabytes


def _without_empty(body: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what the engine would take as unset anyway; False and 0 are such values here."""
    return {
        key: value
        for key, value in body.items()
        if value is False or value not in (None, "", 0, [], {})
    }


def observed(inspection: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `GET /containers/{id}/json` says beyond `inputs`, as output properties.

    The same for a container just made and one read later, so that a refresh shows no change.
    """
    config, host = inspection["Config"], inspection["HostConfig"]
    network, state = inspection["NetworkSettings"], inspection["State"]
    found: dict[str, Any] = {
        "name": str(inspection["Name"]).lstrip("/"),
        "bridge": network.get("Bridge", ""),
        "command": config.get("Cmd") or [],
        "entrypoints": config.get("Entrypoint") or [],
        "hostname": config.get("Hostname", ""),
        "init": bool(host.get("Init")),
        "ipcMode": host.get("IpcMode", ""),
        "logDriver": host.get("LogConfig", {}).get("Type", ""),
        "networkDatas": _network_datas(network.get("Networks") or {}),
        "runtime": host.get("Runtime", ""),
        "securityOpts": host.get("SecurityOpt") or [],
        "shmSize": int(host.get("ShmSize", 0)) // _MEGABYTE,
        "stopSignal": config.get("StopSignal") or "SIGTERM",
        "user": config.get("User", ""),
        "workingDir": config.get("WorkingDir", ""),
        "memorySwap": _swap_megabytes(int(host.get("MemorySwap", 0))),
    }
    if inputs.get("ports"):
        found["ports"] = _published(inputs["ports"], network.get("Ports") or {})
    if not state.get("Running"):
        found["exitCode"] = int(state.get("ExitCode", 0))
    return found


def drifted(inspection: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs that someone changed on the running container, with their live values.

    Only what the engine lets one change by hand (`docker update`, `docker rename`) can be here. A
    value that is not set and that the engine chose is no drift.
    """
    host = inspection["HostConfig"]
    policy = host.get("RestartPolicy") or {}
    live: dict[str, Any] = {
        "name": str(inspection["Name"]).lstrip("/"),
        "restart": policy.get("Name") or "no",
        "maxRetryCount": int(policy.get("MaximumRetryCount") or 0),
        "memory": int(host.get("Memory") or 0) // _MEGABYTE,
        "cpuShares": int(host.get("CpuShares") or 0),
        "cpuSet": host.get("CpusetCpus") or "",
    }
    if inputs.get("memorySwap"):
        live["memorySwap"] = _swap_megabytes(int(host.get("MemorySwap") or 0))
    unset = {"name": live["name"], "restart": "no", "cpuSet": ""}
    return {
        key: value for key, value in live.items() if value != inputs.get(key, unset.get(key, 0))
    }


def _swap_megabytes(swap: int) -> int:
    return swap // _MEGABYTE if swap > 0 else swap


def _network_datas(networks: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "networkName": name,
            "ipAddress": data.get("IPAddress", ""),
            "ipPrefixLength": data.get("IPPrefixLen", 0),
            "gateway": data.get("Gateway", ""),
            "globalIpv6Address": data.get("GlobalIPv6Address", ""),
            "globalIpv6PrefixLength": data.get("GlobalIPv6PrefixLen", 0),
            "ipv6Gateway": data.get("IPv6Gateway", ""),
            "macAddress": data.get("MacAddress", ""),
        }
        for name, data in sorted(networks.items())
    ]


def _published(
    ports: Sequence[Mapping[str, Any]], live: Mapping[str, Sequence[Mapping[str, str]] | None]
) -> list[dict[str, Any]]:
    """Return the declared ports with the host port that the engine chose where none was given."""
    filled = []
    for port in ports:
        bindings = live.get(_port_key(port)) or []
        address = port.get("ip") or "0.0.0.0"  # noqa: S104 - compared, not bound
        chosen = next((b["HostPort"] for b in bindings if b["HostIp"] == address), None)
        external = port.get("external") or (int(chosen) if chosen else None)
        filled.append(
            {
                **port,
                "ip": address,
                "protocol": port.get("protocol") or "tcp",
                **({"external": external} if external else {}),
            }
        )
    return filled
