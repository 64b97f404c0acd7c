"""Why a certificate could not be had, in readable words: what, by whom, and what to do.

A CA explains itself in a problem document (RFC 9457; RFC 8555, section 6.7): its type, its detail
and, for several names, a subproblem each. All of that reaches the reader, with the HTTP status.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import requests
from acme import errors, messages
from josepy.errors import Error as JoseError

from tlsgate.acme.faults import AcmeFault

KNOWN = (errors.Error, requests.RequestException, JoseError)
"""Everything that the acme library raises for an answer, or for none."""

_REMEDIES = {
    "rejectedIdentifier": "The CA's policy refuses this name: mend the name, or take another CA",
    "unsupportedIdentifier": "The CA does not issue for this kind of name: take another CA",
    "caa": "Let the domain's CAA records name this CA, or remove them",
    "rateLimited": "Wait; the agent tries again by itself, not before the CA allows it",
    "externalAccountRequired": "Get a key id and a MAC key from the CA for tlsgate:acme.eab",
    "accountDoesNotExist": "Try again: the account is then registered anew",
    "invalidContact": "Mend tlsgate:acme.contact",
    "unsupportedContact": "Mend tlsgate:acme.contact: the CA takes other kinds of addresses",
    "invalidProfile": "Set tlsgate:acme.profile to one that the CA offers, or to none",
    "userActionRequired": "Do in the CA's own pages what it asks for; the agent then goes on",
    "dns": "See that the public DNS answers for this name, and validates",
    "dnssec": "Mend the domain's DNSSEC",
    "connection": "See that the CA can reach the name at this port",
    "serverInternal": "Nothing to do here: the CA has a fault; the agent tries again",
}
_DEFAULT_REMEDY = "Mend what the CA names; the agent tries again by itself, and so does the next up"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the acme library drops of the last HTTP answer."""

    status: int
    retry_after: str | None
    date: str | None = None


def explain(
    doing: str, url: str, fault: Exception, answer: Answer | None, now: datetime
) -> AcmeFault:
    """The fault in words. `url`: of the CA's directory. `answer`: the last one, None without."""
    retry_at = retry_time(answer.retry_after, now) if answer else None
    if isinstance(fault, errors.IssuanceError):
        fault = fault.error
    if isinstance(fault, messages.Error):
        status = f" with HTTP status {answer.status}" if answer and answer.status >= 400 else ""
        reason = f"{doing}: the CA refused{status}: {describe(fault)}"
        if retry_at and answer and answer.status >= 400:
            reason += f"\n  The CA says: not before {retry_at:%Y-%m-%d %H:%M:%S} UTC"
        return AcmeFault(reason, remedy(fault), retry_at)
    if isinstance(fault, requests.exceptions.SSLError):
        return AcmeFault(
            f"{doing}: the HTTPS certificate of {url} is not trusted: {_innermost(fault)}",
            "Give the roots of that server as tlsgate:acme.caFile, or mend tlsgate:acme.directory",
        )
    if isinstance(fault, requests.RequestException):
        return AcmeFault(
            f"{doing}: the CA at {url} cannot be reached: {_innermost(fault)}",
            "See that the CA runs and that tlsgate:acme.directory is right; then try again",
        )
    if isinstance(fault, errors.TimeoutError):
        return AcmeFault(f"{doing}: the CA did not get ready in time", "Try again later", retry_at)
    if answer and answer.status >= 400:
        return AcmeFault(
            f"{doing}: {url} answered with HTTP status {answer.status} and no problem document",
            "See that tlsgate:acme.directory is right and that the CA works; then try again",
            retry_at,
        )
    return AcmeFault(
        f"{doing}: {url} did not answer as an ACME server (RFC 8555): {fault or repr(fault)}",
        "See that tlsgate:acme.directory is the URL of an ACME directory",
    )


def describe(problem: messages.Error) -> str:
    """The problem document, its subproblems on lines of their own."""
    words = problem.detail or problem.title or problem.description or "without a word why"
    name = f"{problem.identifier.value}: " if problem.identifier else ""
    lines = [f"{name}{words} ({problem.typ})"]
    lines += [f"  {describe(part)}" for part in problem.subproblems or ()]
    return "\n".join(lines)


def remedy(problem: messages.Error) -> str:
    """What to do about it; a subproblem's remedy if the whole has none of its own."""
    for part in (problem, *(problem.subproblems or ())):
        found = _REMEDIES.get(str(part.typ).rpartition(":")[2])
        if found is not None:
            return found
    return _DEFAULT_REMEDY


def retry_time(header: str | None, now: datetime) -> datetime | None:
    """The time that a Retry-After names (RFC 9110, section 10.2.3): seconds or a date."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit() and len(text) < 9:
        return now + timedelta(seconds=int(text))
    return header_time(text)


def header_time(text: str) -> datetime | None:
    """A date as HTTP writes it (RFC 9110, section 5.6.7); None if it is none."""
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _innermost(fault: BaseException) -> str:
    """The operating system's or OpenSSL's own words, from below the libraries' wrappings."""
    if isinstance(fault, requests.exceptions.Timeout):
        return "it does not answer"
    found: BaseException | None = fault
    words = ""
    while found is not None:
        if isinstance(found, ssl.SSLCertVerificationError):
            return str(found.verify_message)
        if isinstance(found, OSError) and found.strerror:
            words = found.strerror
        found = found.__cause__ or found.__context__
    return words or str(fault)
