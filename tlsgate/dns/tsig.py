"""TSIG keys (RFC 8945) in the format that BIND, Knot's keymgr and tsig-keygen write:

key "name" { algorithm hmac-sha256; secret "base64=="; };
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from pathlib import Path

import dns.exception
import dns.name
import dns.tsig

from tlsgate.dns.errors import KeyRefusedError

ALGORITHMS = ("hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512")
"""RFC 8945, section 6, without SHA-1 and MD5, which must no longer be used."""

_COMMENT = re.compile(r'("[^"\n]*")|/\*.*?\*/|//[^\n]*|^\s*#[^\n]*', re.DOTALL | re.MULTILINE)
"""A comment, or a quoted string as group 1: a secret may contain `//`, which is no comment."""
_KEY = re.compile(r'key\s+("[^"]*"|[^\s{"]+)\s*\{([^{}]*)\}\s*;?')
_STATEMENT = re.compile(r'([\w-]+)\s+("[^"]*"|[^\s;"]+)\s*;')
_REMEDY = (
    'Write `key "name" { algorithm hmac-sha256; secret "…"; };`, as `tsig-keygen name` prints it'
)


@dataclass(frozen=True, slots=True)
class TsigKey:
    """A shared secret and its name. The secret is never printed."""

    name: str
    algorithm: str
    secret: bytes = field(repr=False)

    def key(self) -> dns.tsig.Key:
        """Return the key as dnspython needs it."""
        return dns.tsig.Key(self.name, self.secret, self.algorithm)


def read_tsig_key(path: Path) -> TsigKey:
    """Read the only key of a file. Raises KeyRefusedError, which quotes the path only."""
    try:
        text = path.expanduser().read_text("utf-8")
    except OSError as error:
        raise KeyRefusedError(
            f"{path}: {error.strerror}. Check the path of the TSIG key file"
        ) from None
    except UnicodeDecodeError:
        raise KeyRefusedError(f"{path}: is not UTF-8 text. {_REMEDY}") from None
    try:
        return parse_tsig_key(text)
    except ValueError as error:
        raise KeyRefusedError(f"{path}: {error}") from None


def parse_tsig_key(text: str) -> TsigKey:
    """Return the only key in the text. Raises ValueError, which never quotes the text."""
    found = _KEY.findall(_COMMENT.sub(lambda match: match[1] or " ", text))
    if len(found) != 1:
        fault = f"contains {len(found)} TSIG keys, not one" if found else "contains no TSIG key"
        raise ValueError(f"{fault}. {_REMEDY}")
    quoted, body = found[0]
    name = quoted.strip('"').rstrip(".")
    statements = {key: value.strip('"') for key, value in _STATEMENT.findall(body)}
    algorithm = statements.get("algorithm", "").lower().rstrip(".")
    if algorithm not in ALGORITHMS:
        raise ValueError(f"its algorithm must be one of {', '.join(ALGORITHMS)}. {_REMEDY}")
    try:
        secret = base64.b64decode(statements.get("secret", ""), validate=True)
        dns.name.from_text(name)
    except (binascii.Error, dns.exception.DNSException):
        secret = b""
    if not secret or not name:
        raise ValueError(f"its name or its Base64 secret cannot be read. {_REMEDY}")
    return TsigKey(name, algorithm, secret)
