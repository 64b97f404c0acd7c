"""lab/endpoints.json: how other programs reach the lab and the gateway in it.

Hosts and ports are the ones to use on this machine; paths are absolute.
"""

from __future__ import annotations

import json
from typing import Any

from lab import files, plan
from lab.commands import GATEWAY, LAB, Stack, environment

LOOPBACK = "127.0.0.1"
GATEWAY_ROLES = ("gateway", "resolver", "policy", "policy-host", "agent", "notices")


def gateway_container(role: str) -> str:
    """The name of one of the gateway's containers."""
    return f"tlsgate-{GATEWAY.name}-{role}"


def endpoints() -> dict[str, Any]:
    """The content of the file."""
    servers = ("internal", *(peer.name for peer in plan.PEERS))
    roles = ("dns", "ca", "resolver", "policies", *servers)
    return {
        "gateway": {
            "host_name": plan.GATEWAY_HOST,
            "address": plan.GATEWAY_ADDRESS,
            "domains": list(plan.ORGANISATION_ZONES),
            "smtp": _endpoint(10025),
            "internal": _endpoint(12525),
            "policy_https": _endpoint(10443),
            "policy_http": _endpoint(10080),
        },
        "dns": {**_endpoint(plan.DNS_HOST_PORT), "address": plan.DNS_ADDRESS},
        "acme": {
            "directory": f"https://{LOOPBACK}:{plan.ACME_PORT}/dir",
            "management": f"https://{LOOPBACK}:{plan.ACME_MANAGEMENT_PORT}",
        },
        "roots": {
            "public": str(files.PKI / "public-roots.pem"),
            "acme_directory": str(files.PKI / "pebble-ca.pem"),
        },
        "trust_anchors": str(files.DNS / "trust-anchors"),
        "tsig_keys": {name: str(files.DNS / f"{name}.key") for name in ("pulumi", "agent")},
        "mailboxes": {role: str(files.MAILBOXES / role) for role in servers},
        "captures": {peer.name: str(files.CAPTURES / f"{peer.name}.pcap") for peer in plan.PEERS},
        "containers": {
            "gateway": {role: gateway_container(role) for role in GATEWAY_ROLES},
            "lab": {role: plan.container_name(role) for role in roles},
        },
        "network": plan.NETWORK,
        "pulumi": {
            "backend": environment()["PULUMI_BACKEND_URL"],
            "lab": _stack(LAB),
            "gateway": _stack(GATEWAY),
        },
    }


def write_endpoints() -> None:
    """Write the file."""
    files.write(files.ENDPOINTS, json.dumps(endpoints(), indent=2) + "\n")


def _endpoint(port: int) -> dict[str, Any]:
    return {"host": LOOPBACK, "port": port}


def _stack(stack: Stack) -> dict[str, str]:
    return {"project": stack.project, "stack": stack.name, "directory": str(stack.directory)}
