"""Why mail is held: from Postfix's messages to the probe's codes and texts, and what to do.

Faults that the probe knows (`tlsgate.smtp.reasons`) get its code and text; about certificates, the
log says less than a handshake shows. Postfix's own messages are in smtp_proto.c, smtp_connect.c
and smtp_tls_policy.c of smtp(8), and in tls_verify.c, version 3.10.

Codes besides the probe's: `waiting` (no attempt has ended yet), `on-hold` (an operator did it),
`helper` and `policy` (the TLS policy of the domain is not known), `engine` (the gateway's own TLS),
`foreign-mx` (DNS names a server that the partner's record does not), `mta-sts-mx`, `answer` (the
server itself deferred the message), `other`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tlsgate.certificates.names import accepted
from tlsgate.partners.model import Outbound, Verify
from tlsgate.queue.attempts import SUSPENDED, Attempt
from tlsgate.queue.entries import DEFERRED, HOLD, HeldRecipient
from tlsgate.smtp.dialogue import Fault, Session
from tlsgate.smtp.reasons import NEWER, NEXT_KEY, NEXT_TLSA, RENEW, STRONGER, Reason, no_tls_fault

WAITING, ON_HOLD = "waiting", "on-hold"

_SERVER = re.compile(r"(?P<host>[^\s\[\],]+)\[(?P<address>[0-9A-Fa-f.:]+)\](?::[0-9]+)?")
_VERIFIED = re.compile(r"certificate verification failed for \S+: (?P<why>.*)")
_LIBRARY = re.compile(r"TLS library problem: error:[0-9A-F]+:[^:]*:[^:]*:(?P<why>[^:]*)")
_HELPER = re.compile(r"socketmap server (?:temporary|permanent) error: (?P<why>.*)")
_OLD = re.compile(r"protocol version|unsupported protocol|no protocols available|version too low")
_WEAK_WORDS = (
    "(?i)handshake failure|shared cipher|insufficient security|too (?:small|weak)|no cipher"
)
_WEAK = re.compile(_WEAK_WORDS)
_POSTMASTER = "look for our address in the log of that server"
_RECORDS = (
    "sign the domain and its mail servers' names with DNSSEC and publish TLSA records (3 1 1)"
)
_STS = "name each mail server in the MTA-STS policy"
_LOG = "look for the queue id in the gateway's log: `docker logs` of its container"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The reason why mail is held.

    `reason.remedy`: what the partner's postmaster should do or, if `ours`, the operator. `exact`:
    the log had the detail. Without it the reason is as general as the queue's own.
    """

    reason: Reason
    ours: bool = False
    exact: bool = True


def diagnose(held: HeldRecipient, attempt: Attempt | None, outbound: Outbound | None) -> Diagnosis:
    """Return why mail to one recipient waits. `outbound`: the rule of the recipient's partner."""
    said = (attempt.said if attempt else held.said).removeprefix(SUSPENDED)
    if held.queue == HOLD:
        text = "the message was put on hold, so no delivery is attempted"
        return Diagnosis(
            Reason(ON_HOLD, text, "find out why, then release it: `postsuper -H` and its queue id"),
            ours=True,
        )
    if not said:
        return Diagnosis(_untried(held), ours=True)
    details = attempt.details if attempt else ()
    found = _SERVER.search(attempt.server if attempt else "") or _SERVER.search(said)
    host = found["host"] if found else ""
    place = f"{host} [{found['address']}]" if found else "the server"
    if said.startswith("Server certificate not "):
        return _certificate(details, place, host, _Rule(held.domain, outbound))
    if said.startswith("Cannot start TLS"):
        return _handshake(said, details, place)
    return _policy(said, details) or _plain(said, place) or _other(said)


@dataclass(frozen=True, slots=True)
class _Rule:
    """What a server must show for mail to a domain; `outbound` is None if it is not a partner's."""

    domain: str
    outbound: Outbound | None

    @property
    def pins(self) -> bool:
        return self.outbound is not None and self.outbound.verify is Verify.PIN

    def disowns(self, host: str) -> bool:
        """Return whether a partner's record accepts only other names than this host's."""
        if self.outbound is None or not host:
            return False
        names = self.outbound.mx or (self.domain, f".{self.domain}")
        return accepted(names, [host]) is None


def _untried(held: HeldRecipient) -> Reason:
    if held.queue == DEFERRED:
        text = "the attempt failed, and neither the queue nor the log says why"
        return Reason("other", text, _LOG)
    text = "no attempt has ended yet: the message is new, is being sent, or waits for its turn"
    return Reason(
        WAITING, text, "wait a minute; if this does not change, check that the gateway is healthy"
    )


def _certificate(details: tuple[str, ...], place: str, host: str, rule: _Rule) -> Diagnosis:
    found = next((match for one in reversed(details) if (match := _VERIFIED.search(one))), None)
    if found is None:
        text = f"the certificate of {place} is not accepted"
        return Diagnosis(Reason("untrusted", text, RENEW), exact=False)
    return Diagnosis(_refused(found["why"], place, host, rule))


def _refused(why: str, place: str, host: str, rule: _Rule) -> Reason:
    """Return the reason behind a message of tls_verify.c."""
    if "no matching DANE TLSA records" in why and rule.pins:
        return Reason("pin", f"{place} shows a key that is not one of those agreed", NEXT_KEY)
    if "hostname mismatch" in why and rule.disowns(host):
        text = (
            f"DNS names {place}, but neither that name nor its certificate is the partner's:"
            " a new mail server, or a forged answer"
        )
        return Reason(
            "foreign-mx", text, "confirm over a trusted channel whether that is its mail server"
        )
    for part, code, text, remedy in _REFUSALS:
        if part.search(why):
            return Reason(code, text.format(place=place, why=why), remedy)
    return Reason("untrusted", f"the certificate of {place} is not accepted ({why})", RENEW)


_REFUSALS = tuple(
    (re.compile(part), code, text, remedy)
    for part, code, text, remedy in (
        ("^self-signed", "self-signed", "{place} shows a self-signed certificate", RENEW),
        (
            "^untrusted issuer",
            "issuer",
            "{place} shows a certificate without a chain to an accepted CA ({why})",
            f"send the intermediate certificates with it, or {RENEW}",
        ),
        (
            "has expired|not yet valid",
            "dates",
            "the certificate of {place}, or one above it, is expired or not yet valid ({why})",
            RENEW,
        ),
        (
            "hostname mismatch",
            "name",
            "the certificate of {place} is trusted, but not for a name that is accepted",
            "install a certificate for the names agreed, or tell us which names yours has",
        ),
        (
            "TLSA",
            "tlsa",
            "{place} shows a key that its TLSA records do not name",
            NEXT_TLSA,
        ),
        (
            "external policy failure",
            "mta-sts-mx",
            "the MTA-STS policy does not allow {place} ({why})",
            _STS,
        ),
        (
            _WEAK_WORDS,
            "weak",
            "the key or signature of the certificate of {place} is too weak ({why})",
            "use an RSA key of 2048 bits or a P-256 key, and SHA-256",
        ),
    )
)


def _handshake(said: str, details: tuple[str, ...], place: str) -> Diagnosis:
    said_by_openssl = [match["why"] for one in details if (match := _LIBRARY.search(one))]
    why = "; ".join(said_by_openssl)
    if _OLD.search(why):
        text = f"{place} offers TLS 1.1 at most"
        return Diagnosis(Reason("old-tls", text, NEWER))
    if _WEAK.search(why):
        text = f"{place} offers only ciphers or keys that are too weak ({why})"
        return Diagnosis(Reason("weak", text, STRONGER))
    detail = why or (
        "the connection was closed" if details else said.removeprefix("Cannot start TLS: ")
    )
    return Diagnosis(_session(Fault.HANDSHAKE, place, detail), exact=bool(details))


def _policy(said: str, details: tuple[str, ...]) -> Diagnosis | None:
    """Return why the TLS policy of the domain is not known, so that nothing is sent."""
    if said.startswith(("no TLSA records found", "TLSA records unusable", "TLSA lookup error")):
        text = f"DANE is required, but DNS has no usable TLSA records ({said})"
        return Diagnosis(Reason("tlsa-records", text, _RECORDS))
    if "TLS engine is unavailable" in said:
        return Diagnosis(Reason("engine", "the gateway's own TLS does not start", _LOG), ours=True)
    if "configuration problem" not in said:
        return None
    answer = next((match["why"] for one in details if (match := _HELPER.search(one))), "")
    if "look-up failed" in answer:
        text = f"the TLS policy of the domain cannot be looked up ({answer})"
        remedy = "check the domain's name servers and its DNSSEC signatures"
        return Diagnosis(Reason("policy", text, remedy))
    text = "the policy helper does not return a TLS policy for the domain"
    remedy = "check that the policy helper runs (label tlsgate.role=policy), and read its log"
    return Diagnosis(
        Reason("helper", f"{text} ({answer})" if answer else text, remedy),
        ours=True,
        exact=bool(details),
    )


def _plain(said: str, place: str) -> Diagnosis | None:
    """Return the reason that Postfix gives in one line, None if it is another."""
    for pattern, fault in _SESSIONS:
        if match := pattern.match(said):
            return Diagnosis(_session(fault, place, match.groupdict().get("why") or ""))
    if " said: " in said and said.startswith("host "):
        text = f"{place} itself defers the message ({said.partition(' said: ')[2]})"
        return Diagnosis(Reason("answer", text, _POSTMASTER))
    if re.match(r"server \S+ violates ", said):
        text = f"the MTA-STS policy does not allow the mail server ({said})"
        return Diagnosis(Reason("mta-sts-mx", text, _STS))
    if re.match(r"Host or domain name not found|mail for \S+ loops back|Domain \S+ does not", said):
        return Diagnosis(
            Reason(
                "mx", f"DNS names no mail server ({said})", "check the domain's MX records and DNS"
            )
        )
    return None


_SESSIONS = (
    (re.compile(r"TLS is required, but was not offered"), Fault.NO_STARTTLS),
    (
        re.compile(r"TLS is required, but .*?refused to start TLS: (?P<why>.*)"),
        Fault.STARTTLS_REFUSED,
    ),
    (re.compile(r"connect to \S+: (?P<why>.*)"), Fault.UNREACHABLE),
    (re.compile(r"conversation with \S+ (?P<why>timed out .*)"), Fault.SLOW),
    (re.compile(r"(?P<why>lost connection .*)"), Fault.CLOSED),
    (re.compile(r"host \S+ refused to talk to me: (?P<why>.*)"), Fault.REFUSED),
)


def _session(fault: Fault, place: str, detail: str) -> Reason:
    reason = no_tls_fault(place, Session(fault=fault, detail=detail))
    if reason is None:
        raise ValueError(f"{fault} is not a fault of a session")
    return reason


def _other(said: str) -> Diagnosis:
    return Diagnosis(Reason("other", said, _LOG), ours=True)
