"""Which lookup tables and certificates a generation needs, read from its own files. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tlsgate.generation.manifest import Refused

POSTFIX = "postfix"
NGINX = "nginx"
KINDS = (POSTFIX, NGINX)

_TABLE = re.compile(r"\b(lmdb|cidr|regexp):/run/tlsgate/active/([A-Za-z0-9_.-]+)")
_STAGED = r"/run/tlsgate/tls/([a-z0-9][a-z0-9.-]*)\.pem"
_CHAIN_FILES = re.compile(rf"^smtpd_tls_chain_files = {_STAGED}$", re.M)
_MY_NAME = re.compile(r"^myhostname = (\S+)$", re.M)
_SERVER_NAMES = re.compile(r"^\s*server_name\s+([^;]+);", re.M)
_SERVER_CERTIFICATE = re.compile(rf"^\s*ssl_certificate {_STAGED};", re.M)


def tables(files: Mapping[str, bytes]) -> dict[str, str]:
    """The lookup tables that main.cf and master.cf name: file name → type.

    Raises Refused for one whose source was not delivered.
    """
    text = _text(files, "main.cf") + _text(files, "master.cf")
    found = {name: kind for kind, name in _TABLE.findall(text)}
    if missing := sorted(set(found) - set(files)):
        raise Refused(f"the configuration names tables that are missing: {', '.join(missing)}")
    return found


def certificates(kind: str, files: Mapping[str, bytes]) -> dict[str, tuple[str, ...]]:
    """Certificate name → the host names that it must be valid for. Raises Refused."""
    if kind == POSTFIX:
        text = _text(files, "main.cf")
        chains, names = _CHAIN_FILES.findall(text), _MY_NAME.findall(text)
        if len(chains) != 1 or len(names) != 1:
            raise Refused("main.cf does not name one certificate and one myhostname")
        return {chains[0]: (names[0],)}
    wanted: dict[str, tuple[str, ...]] = {}
    for block in _text(files, "https.conf").split("server {")[1:]:
        names = [name for names in _SERVER_NAMES.findall(block) for name in names.split()]
        for certificate in _SERVER_CERTIFICATE.findall(block):
            if not names:
                raise Refused(f"https.conf names no host for certificate {certificate}")
            wanted[certificate] = (*wanted.get(certificate, ()), *names)
    return wanted


def _text(files: Mapping[str, bytes], name: str) -> str:
    try:
        return files[name].decode("utf-8")
    except KeyError:
        raise Refused(f"{name} is missing") from None
    except UnicodeDecodeError as fault:
        raise Refused(f"{name} is not UTF-8: {fault}") from fault
