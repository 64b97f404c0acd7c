"""Checks the files that the config names: each must exist and have the right content.

Messages never quote the content of a file. A certificate file that contains a private key is
refused: certificates are stored in the state, keys never are (D1).
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tlsgate.dns.tsig import TsigKey, parse_tsig_key
from tlsgate.problems import Problem
from tlsgate.render.unbound import ResolverSettings, render_unbound
from tlsgate_pulumi import build_context
from tlsgate_pulumi.config_reader import Locate
from tlsgate_pulumi.settings import AcmeSettings, FallbackSettings, Settings

TSIG, AGENT_TSIG = "tlsgate:dns.tsigKeyFile", "tlsgate:dns.agentTsigKeyFile"
BUILD_CA = "tlsgate:images.buildCaFile"


@dataclass(frozen=True, slots=True)
class _NamedFile:
    key: str
    path: str | None
    check: Callable[[str], object]
    """Raises ValueError, whose text says what is wrong with the content."""
    remedy: str
    secret: bool = False
    """Then the path is not shown: the config could contain the secret itself by mistake."""


def file_problems(settings: Settings, locate: Locate) -> list[Problem]:
    """Return a problem for each file that cannot be read or has the wrong content."""
    problems: list[Problem] = []
    found: dict[str, object] = {}
    for file in _named_files(settings):
        if file.path is None:
            continue
        place = locate(file.key)
        shown = "its file" if file.secret else file.path
        try:
            found[file.key] = file.check(Path(file.path).expanduser().read_text("utf-8"))
        except OSError as error:
            message = f"{shown} cannot be read ({error.strerror})"
            remedy = "Name an existing file, relative to the project"
            problems.append(Problem(*place, file.key, "no-file", message, remedy))
        except UnicodeDecodeError:
            message = f"{shown} is not UTF-8 text"
            problems.append(Problem(*place, file.key, "bad-file", message, file.remedy))
        except ValueError as error:
            message = f"{shown}{' ' if file.secret else ': '}{error}"
            problems.append(Problem(*place, file.key, "bad-file", message, file.remedy))
    if settings.dns.tsig_key_file != settings.dns.agent_tsig_key_file:
        problems += _same_key(found.get(TSIG), found.get(AGENT_TSIG), locate)
    return problems + _unusable_bundle(settings.images.build_ca_file, locate)


def _named_files(settings: Settings) -> tuple[_NamedFile, ...]:
    acme, dns, pem = settings.acme, settings.dns, "Name a PEM file of CA certificates"
    # parse_tsig_key and render_unbound report the remedy themselves.
    return (
        *_ca_files("tlsgate:acme", acme),
        *(_ca_files("tlsgate:acme.fallback", acme.fallback) if acme.fallback else ()),
        _NamedFile(
            "tlsgate:agent.webhookFile",
            settings.agent.webhook_file,
            _https_url,
            "Write only the https URL for alerts into it",
            secret=True,
        ),
        _NamedFile(TSIG, dns.tsig_key_file, parse_tsig_key, "", secret=True),
        _NamedFile(AGENT_TSIG, dns.agent_tsig_key_file, parse_tsig_key, "", secret=True),
        _NamedFile("tlsgate:extraCaFile", settings.extra_ca_file, _certificates, pem),
        _NamedFile(
            "tlsgate:resolver.trustAnchorFile",
            settings.resolver.trust_anchor_file,
            lambda text: render_unbound(ResolverSettings({}, text, ())),
            "",
        ),
        _NamedFile(BUILD_CA, settings.images.build_ca_file, _certificates, pem),
    )


def _ca_files(key: str, ca: AcmeSettings | FallbackSettings) -> tuple[_NamedFile, ...]:
    return (
        _NamedFile(
            f"{key}.caFile", ca.ca_file, _certificates, "Name a PEM file of CA certificates"
        ),
        _NamedFile(
            f"{key}.eab.hmacKeyFile",
            ca.eab_hmac_key_file,
            _base64url,
            "Write only the MAC key from the CA into it",
            secret=True,
        ),
    )


def _certificates(text: str) -> None:
    if "PRIVATE KEY-----" in text:
        raise ValueError("contains a private key, which must not be here")
    if "-----BEGIN CERTIFICATE-----" not in text or not text.isascii():
        raise ValueError("is not a PEM file in ASCII that contains certificates only")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except ssl.SSLError:
        raise ValueError("contains a certificate that cannot be read") from None


def _base64url(text: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_-]+=*", text.strip()):
        raise ValueError("is not base64url")


def _https_url(text: str) -> None:
    if not re.fullmatch(r"https://[!-~]+", text.strip()):
        raise ValueError("is not an https URL")


def _same_key(one: object, other: object, locate: Locate) -> list[Problem]:
    """Report the same secret under two names or in two files: it is one key."""
    if not isinstance(one, TsigKey) or not isinstance(other, TsigKey) or one.secret != other.secret:
        return []
    message = "contains the key that Pulumi uses"
    remedy = "Use a narrow key for the agent, for _acme-challenge and TLSA names only"
    return [Problem(*locate(AGENT_TSIG), AGENT_TSIG, "same-key", message, remedy)]


def _unusable_bundle(path: str | None, locate: Locate) -> list[Problem]:
    """Report a CA bundle outside images/: an image build cannot read it."""
    if path is None or build_context.is_usable(path):
        return []
    message = f"{path} is not below images/, the only folder that image builds can read"
    remedy = "Copy it to images/extra-ca.crt, which git ignores, and name that"
    return [Problem(*locate(BUILD_CA), BUILD_CA, "outside-images", message, remedy)]
