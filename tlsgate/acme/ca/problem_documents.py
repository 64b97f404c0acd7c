"""Turns a failed request to a CA into an AcmeFault: what failed, why, and what to do.

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

LIBRARY_ERRORS = (errors.Error, requests.RequestException, JoseError)
"""Everything that the acme library raises for a response, or for a missing one."""

_REMEDIES = {
    "rejectedIdentifier": "The CA's policy refuses this name: correct the name, or use another CA",
    "unsupportedIdentifier": "The CA does not issue for this kind of name: use another CA",
    "caa": "Name this CA in the domain's CAA records, or remove them",
    "rateLimited": "Wait; the agent tries again automatically when the CA allows it",
    "externalAccountRequired": "Get a key id and a MAC key from the CA for tlsgate:acme.eab",
    "accountDoesNotExist": "Try again: the account is then registered again",
    "invalidContact": "Correct tlsgate:acme.contact",
    "unsupportedContact": "Correct tlsgate:acme.contact: the CA takes other kinds of addresses",
    "invalidProfile": "Set tlsgate:acme.profile to one that the CA offers, or to none",
    "userActionRequired": "Do what the CA asks for on its website; the agent then continues",
    "dns": "Check that public DNS answers for this name and that DNSSEC validates",
    "dnssec": "Fix the domain's DNSSEC",
    "connection": "Check that the CA can reach this name on this port",
    "serverInternal": "Nothing to do: the CA has an internal error; the agent tries again",
}
_DEFAULT_REMEDY = "Fix what the CA reports; the agent and the next `up` try again automatically"


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """The parts of the last HTTP response that the acme library drops."""

    status: int
    retry_after: str | None
    date: str | None = None


def explain(
    doing: str, url: str, fault: Exception, answer: HttpAnswer | None, now: datetime
) -> AcmeFault:
    """The fault in words. `url`: of the CA's directory. `answer`: the last one, None without."""
    retry_at = retry_time(answer.retry_after, now) if answer else None
    if isinstance(fault, errors.IssuanceError):
        fault = fault.error
    if isinstance(fault, messages.Error):
        status = f" with HTTP status {answer.status}" if answer and answer.status >= 400 else ""
        reason = f"{doing}: the CA refused{status}: {describe(fault)}"
        if retry_at and answer and answer.status >= 400:
            reason += f"\n  The CA allows no request before {retry_at:%Y-%m-%d %H:%M:%S} UTC"
        return AcmeFault(reason, remedy(fault), retry_at)
    if isinstance(fault, requests.exceptions.SSLError):
        return AcmeFault(
            f"{doing}: the HTTPS certificate of {url} is not trusted: {_innermost(fault)}",
            "Give the roots of that server as tlsgate:acme.caFile, or correct "
            "tlsgate:acme.directory",
        )
    if isinstance(fault, requests.RequestException):
        return AcmeFault(
            f"{doing}: the CA at {url} cannot be reached: {_innermost(fault)}",
            "Check that the CA runs and that tlsgate:acme.directory is right; then try again",
        )
    if isinstance(fault, errors.TimeoutError):
        return AcmeFault(f"{doing}: the CA was not ready in time", "Try again later", retry_at)
    if answer and answer.status >= 400:
        return AcmeFault(
            f"{doing}: {url} answered with HTTP status {answer.status} and no problem document",
            "Check that tlsgate:acme.directory is right and that the CA works; then try again",
            retry_at,
        )
    return AcmeFault(
        f"{doing}: {url} did not answer as an ACME server (RFC 8555): {fault or repr(fault)}",
        "Check that tlsgate:acme.directory is the URL of an ACME directory",
    )


def describe(problem: messages.Error) -> str:
    """The problem document as text, one line for each subproblem."""
    words = problem.detail or problem.title or problem.description or "without a reason"
    name = f"{problem.identifier.value}: " if problem.identifier else ""
    lines = [f"{name}{words} ({problem.typ})"]
    lines += [f"  {describe(part)}" for part in problem.subproblems or ()]
    return "\n".join(lines)


def remedy(problem: messages.Error) -> str:
    """What to do about it; a subproblem's remedy if the problem itself has none."""
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
    """The operating system's or OpenSSL's own words, without the libraries' wrapping."""
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
