"""The files that the config names: each is there, and is what it should be.

Nothing of a file's content is ever told. A file of certificates that holds a private key is
refused: certificates go into the state, keys never do (D1).
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
class _Named:
    key: str
    path: str | None
    check: Callable[[str], object]
    """Raises ValueError, whose text is what is wrong with the content."""
    remedy: str
    secret: bool = False
    """Whether what stands in the config may be the secret itself by a slip, and is not told."""


def file_problems(settings: Settings, locate: Locate) -> list[Problem]:
    """Return a problem for every file that cannot be read or is not what its key wants."""
    problems: list[Problem] = []
    found: dict[str, object] = {}
    for named in _named(settings):
        if named.path is None:
            continue
        place = locate(named.key)
        shown = "its file" if named.secret else named.path
        try:
            found[named.key] = named.check(Path(named.path).expanduser().read_text("utf-8"))
        except OSError as error:
            message = f"{shown} cannot be read ({error.strerror})"
            remedy = "Name a file that is there, relative to the project"
            problems.append(Problem(*place, named.key, "no-file", message, remedy))
        except UnicodeDecodeError:
            message = f"{shown} is not a text"
            problems.append(Problem(*place, named.key, "bad-file", message, named.remedy))
        except ValueError as error:
            message = f"{shown}{' ' if named.secret else ': '}{error}"
            problems.append(Problem(*place, named.key, "bad-file", message, named.remedy))
    if settings.dns.tsig_key_file != settings.dns.agent_tsig_key_file:
        problems += _same_key(found.get(TSIG), found.get(AGENT_TSIG), locate)
    return problems + _outside_context(settings.images.build_ca_file, locate)


def _named(settings: Settings) -> tuple[_Named, ...]:
    acme, dns, pem = settings.acme, settings.dns, "Name a PEM file of CA certificates"
    # What is wrong with a key file says itself how to write it.
    return (
        *_of_ca("tlsgate:acme", acme),
        *(_of_ca("tlsgate:acme.fallback", acme.fallback) if acme.fallback else ()),
        _Named(
            "tlsgate:agent.webhookFile",
            settings.agent.webhook_file,
            _https_url,
            "Write the https URL that alerts are posted to, and nothing else, into it",
            secret=True,
        ),
        _Named(TSIG, dns.tsig_key_file, parse_tsig_key, "", secret=True),
        _Named(AGENT_TSIG, dns.agent_tsig_key_file, parse_tsig_key, "", secret=True),
        _Named("tlsgate:extraCaFile", settings.extra_ca_file, _certificates, pem),
        _Named(
            "tlsgate:resolver.trustAnchorFile",
            settings.resolver.trust_anchor_file,
            lambda text: render_unbound(ResolverSettings({}, text, ())),
            "",
        ),
        _Named(BUILD_CA, settings.images.build_ca_file, _certificates, pem),
    )


def _of_ca(key: str, ca: AcmeSettings | FallbackSettings) -> tuple[_Named, ...]:
    return (
        _Named(f"{key}.caFile", ca.ca_file, _certificates, "Name a PEM file of CA certificates"),
        _Named(
            f"{key}.eab.hmacKeyFile",
            ca.eab_hmac_key_file,
            _base64url,
            "Write the MAC key that the CA gave, and nothing else, into it",
            secret=True,
        ),
    )


def _certificates(text: str) -> None:
    if "PRIVATE KEY-----" in text:
        raise ValueError("holds a private key, which has no place here")
    if "-----BEGIN CERTIFICATE-----" not in text or not text.isascii():
        raise ValueError("is not a PEM file of certificates alone, in ASCII")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except ssl.SSLError:
        raise ValueError("holds a certificate that cannot be read") from None


def _base64url(text: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_-]+=*", text.strip()):
        raise ValueError("is not base64url")


def _https_url(text: str) -> None:
    if not re.fullmatch(r"https://[!-~]+", text.strip()):
        raise ValueError("is not an https URL")


def _same_key(one: object, other: object, locate: Locate) -> list[Problem]:
    """The same secret under two names, or in two files, is one key."""
    if not isinstance(one, TsigKey) or not isinstance(other, TsigKey) or one.secret != other.secret:
        return []
    message = "holds the key that Pulumi uses"
    remedy = "Give the agent a narrow key, for _acme-challenge and TLSA names only"
    return [Problem(*locate(AGENT_TSIG), AGENT_TSIG, "same-key", message, remedy)]


def _outside_context(path: str | None, locate: Locate) -> list[Problem]:
    """An image build sees only what lies below images/."""
    if path is None or build_context.sees(path):
        return []
    message = f"{path} does not lie below images/, which is all that an image build sees"
    remedy = "Copy it to images/extra-ca.crt, which git ignores, and name that"
    return [Problem(*locate(BUILD_CA), BUILD_CA, "outside-images", message, remedy)]
