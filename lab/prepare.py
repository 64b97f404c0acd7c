"""Writes everything that the lab's containers mount: keys, certificates, zones, configuration.

Runs at the start of the lab's Pulumi program; it writes only files that differ. Secrets are created
here, once. Containers get them by mounts, so Pulumi's state contains none (D1).
"""

from __future__ import annotations

import json
import os
import re
import shutil
from datetime import UTC, datetime, timedelta

from cryptography import x509

from lab import files, name_server, pki, plan, postfix_files, zones
from tlsgate.render.unbound import ResolverSettings, render_unbound

PUBLIC_CA = "Lab Public CA"
UNKNOWN_CA = "Lab CA That Nobody Trusts"
DIRECTORY_CA = "Lab CA of the ACME directory's HTTPS"
NO_ROOT_USER = 10001
"""Owner of the mailboxes if root runs the lab: Postfix does not deliver as root."""


def prepare() -> dict[str, str]:
    """Write all files. Returns role → digest of its files: dns, ca, resolver and mail servers."""
    _drop_old_certificates()
    digests = {"dns": _name_server(), "resolver": _resolver(), "ca": _directory()}
    public = _authority("public-ca", PUBLIC_CA)
    digests["policies"] = _policy_server(public)
    digests["internal"] = _internal(public)
    for peer in plan.PEERS:
        digests[peer.name] = _peer(peer)
    files.folder(files.CAPTURES, shared=True)
    return digests


def mailbox_uid() -> int:
    """The user who owns the mailboxes: the one who runs the lab."""
    return os.getuid() or NO_ROOT_USER


def server_certificate(peer: plan.Peer, *, repaired: bool = False) -> str:
    """Key and chain of a peer, in PEM; created once. `repaired`: correct ones."""
    path = files.PKI / "servers" / f"{peer.name}{'.repaired' if repaired else ''}.pem"
    kind = plan.Certificate.PUBLIC if repaired else peer.certificate
    names = (peer.host,) if repaired else peer.certificate_names
    return files.once(path, lambda: _issue(kind, names).pem(), secret=True)


def peer_files(peer: plan.Peer, *, repaired: bool = False) -> dict[str, str]:
    """What a peer's Postfix reads: file name → content."""
    return {
        "main.cf": postfix_files.peer_main(peer, mailbox_uid(), repaired=repaired),
        "master.cf": postfix_files.peer_master(peer),
        "chain.pem": server_certificate(peer, repaired=repaired),
    }


def tlsa_hashes() -> dict[str, str]:
    """Host → the key hash in DNS; if the lab breaks DANE there, it is the repaired peer's."""
    return {
        peer.host: pki.spki_sha256(
            pki.load_key(server_certificate(peer, repaired=peer.tlsa is plan.Tlsa.OTHER_KEY))
        )
        for peer in plan.PEERS
        if peer.tlsa is not plan.Tlsa.NONE
    }


def _drop_old_certificates() -> None:
    """Delete all certificates a week before the first one expires: new ones are then created."""
    root = files.PKI / "public-ca.pem"
    if not root.exists():
        return
    end = x509.load_pem_x509_certificate(root.read_bytes()).not_valid_after_utc
    if end - pki.LIFETIME < datetime.now(UTC) + timedelta(days=7):
        shutil.rmtree(files.PKI)


def _authority(file: str, name: str) -> pki.Authority:
    key_path, root_path = files.PKI / f"{file}.key", files.PKI / f"{file}.pem"
    if not (key_path.exists() and root_path.exists()):
        made = pki.new_authority(name)
        files.write(key_path, pki.key_pem(made.key), secret=True)
        files.write(root_path, made.pem())
    root = x509.load_pem_x509_certificate(root_path.read_bytes())
    return pki.Authority(pki.load_key(key_path.read_text()), root)


def _issue(kind: plan.Certificate, names: tuple[str, ...]) -> pki.Issued:
    key = pki.new_key()
    match kind:
        case plan.Certificate.SELF_SIGNED:
            return pki.self_signed(names, key)
        case plan.Certificate.UNKNOWN_CA:
            return _authority("unknown-ca", UNKNOWN_CA).issue(names, key)
        case plan.Certificate.EXPIRED:
            public = _authority("public-ca", PUBLIC_CA)
            return public.issue(names, key, ended=timedelta(days=30))
        case plan.Certificate.PUBLIC | plan.Certificate.WRONG_NAME:
            return _authority("public-ca", PUBLIC_CA).issue(names, key)


def _name_server() -> str:
    tsig = {}
    for name in (name_server.PULUMI_KEY, name_server.AGENT_KEY):
        text = files.once(
            files.DNS / f"{name}.key",
            lambda name=name: name_server.tsig_file(name, name_server.new_tsig_secret()),  # type: ignore[misc]
            secret=True,
        )
        found = re.search(r'secret "([^"]+)"', text)
        if not found:
            raise ValueError(f"{files.DNS / name}.key contains no secret: remove lab/.state/dns")
        tsig[name] = found[1]
    folder = files.folder(files.DNS / "server")
    keys = {}
    for zone in plan.ZONES:
        pem = files.once(
            folder / "keys" / f"{zone}.pem", lambda: pki.key_pem(pki.new_key()), secret=True
        )
        keys[zone] = pki.load_key(pem)
    delegations = {
        zone: (name_server.delegation(zone, keys[zone]),) for zone in plan.ORGANISATION_ZONES
    }
    contents = {
        plan.PARENT_ZONE: zones.parent_zone(tlsa_hashes(), delegations, plan.PEERS),
        **{zone: zones.organisation_zone(zone) for zone in plan.ORGANISATION_ZONES},
    }
    conf = name_server.knot_conf(tsig)
    files.write(folder / "knot.conf", conf, secret=True)
    for zone, text in contents.items():
        files.write(folder / "zones" / f"{zone}.zone", text)
    files.write(files.DNS / "trust-anchors", name_server.trust_anchors(keys))
    return files.digest([conf, *contents.values()])


def _resolver() -> str:
    anchors = (files.DNS / "trust-anchors").read_text()
    stubs = dict.fromkeys(plan.ZONES, (plan.DNS_ADDRESS,))
    text = render_unbound(ResolverSettings(stubs, anchors, (plan.SUBNET,)))
    files.write(files.folder(files.RESOLVER) / "unbound.conf", text)
    return files.digest([text])


def _directory() -> str:
    names = (plan.CA_HOST, "localhost", plan.CA_ADDRESS, "127.0.0.1")
    authority = _authority("pebble-ca", DIRECTORY_CA)
    pem = files.once(
        files.PKI / "servers" / "directory.pem",
        lambda: authority.issue(names, pki.new_key()).pem(),
        secret=True,
    )
    key, marker, chain = pem.partition("-----BEGIN CERTIFICATE-----")
    conf = json.dumps({"pebble": _PEBBLE}, indent=2) + "\n"
    folder = files.folder(files.CA)
    files.write(folder / "pebble.json", conf)
    files.write(folder / "key.pem", key, secret=True)
    files.write(folder / "cert.pem", marker + chain)
    return files.digest([conf, chain])


def _policy_server(public: pki.Authority) -> str:
    hosts = {
        f"mta-sts.{domain}": zones.sts_policy(peer) for peer in plan.PEERS for domain in peer.sts
    }
    pem = files.once(
        files.PKI / "servers" / "policies.pem",
        lambda: public.issue(tuple(hosts), pki.new_key()).pem(),
        secret=True,
    )
    folder = files.folder(files.PEERS / "policies")
    text = json.dumps(hosts, indent=2) + "\n"
    files.write(folder / "policies.json", text)
    files.write(folder / "chain.pem", pem, secret=True)
    return files.digest([text, pem])


def _internal(public: pki.Authority) -> str:
    pem = files.once(
        files.PKI / "servers" / "internal.pem",
        lambda: public.issue((plan.INTERNAL_HOST,), pki.new_key()).pem(),
        secret=True,
    )
    contents = {
        "main.cf": postfix_files.internal_main(mailbox_uid()),
        "master.cf": postfix_files.internal_master(),
        "chain.pem": pem,
    }
    _write_mail_server("internal", contents)
    files.once(files.PEERS / "internal" / "roots.pem", public.pem)
    return files.digest(contents.values())


def _peer(peer: plan.Peer) -> str:
    contents = peer_files(peer)
    if peer.name == "pinned":
        client = pki.self_signed(("client.pinned.example",), pki.pinned_client_key())
        path = files.PKI / "servers" / "pinned-client.pem"
        contents["client.pem"] = files.once(path, client.pem, secret=True)
    _write_mail_server(peer.name, contents)
    return files.digest(contents.values())


def _write_mail_server(role: str, contents: dict[str, str]) -> None:
    folder = files.folder(files.PEERS / role)
    files.folder(files.MAILBOXES / role, shared=True)
    if (folder / "repaired").exists():
        return  # `Lab.repair` wrote these files; `Lab.undo_repair` restores them
    for name, text in contents.items():
        files.write(folder / name, text, secret=name.endswith(".pem"))


_PEBBLE = {
    "listenAddress": f"0.0.0.0:{plan.ACME_PORT}",
    "managementListenAddress": f"0.0.0.0:{plan.ACME_MANAGEMENT_PORT}",
    "certificate": "/config/cert.pem",
    "privateKey": "/config/key.pem",
    "httpPort": 80,
    "tlsPort": 443,
    "ocspResponderURL": "",
    "externalAccountBindingRequired": False,
    "domainBlocklist": ["blocked.corp.example"],
    "retryAfter": {"authz": 1, "order": 1},
    "keyAlgorithm": "ecdsa",
    "profiles": {
        "default": {"description": "ninety days", "validityPeriod": 7776000},
        "tlsserver": {"description": "forty-five days", "validityPeriod": 3888000},
        "shortlived": {"description": "six days", "validityPeriod": 576000},
    },
}
