"""Why mail is held: translates Postfix's words to the codes and words of the probe, with a remedy.

Where the probe has words for the same fault (`tlsgate.smtp.reasons`), they are the same ones; of
certificates the log says less than a handshake shows. Postfix's own texts: smtp(8)'s
smtp_proto.c, smtp_connect.c and smtp_tls_policy.c, and tls_verify.c, of version 3.10.

Codes besides the probe's: `waiting` (no attempt has ended yet), `on-hold` (an operator did it),
`helper` and `policy` (what TLS the domain needs cannot be found out), `engine` (the gateway's own
TLS), `foreign-mx` (DNS leads to a server that the partner's record does not name), `mta-sts-mx`,
`answer` (the server itself put the message off), `other`.
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
_POSTMASTER = "look at its log for our address"
_RECORDS = (
    "sign the domain and its mail servers' names with DNSSEC and publish TLSA records (3 1 1)"
)
_STS = "name each mail server in the MTA-STS policy"
_LOG = "look at the gateway's log for the queue id: `docker logs` of its container"


@dataclass(frozen=True, slots=True)
class Why:
    """`reason.remedy` is what the partner's postmaster is asked to do; if `ours`, what we do.

    `exact`: Postfix's detail was there. Without it the reason is as broad as the queue's own.
    """

    reason: Reason
    ours: bool = False
    exact: bool = True


def why_held(held: HeldRecipient, attempt: Attempt | None, outbound: Outbound | None) -> Why:
    """Why one recipient's mail waits. `outbound`: the rule of its partner, if it is to one."""
    said = (attempt.said if attempt else held.said).removeprefix(SUSPENDED)
    if held.queue == HOLD:
        text = "the message was put on hold, so it is not tried"
        return Why(Reason(ON_HOLD, text, "find out why, then `postsuper -H` its id"), ours=True)
    if not said:
        return Why(_untried(held), ours=True)
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
    """What a partner's server must show for mail to a domain; `outbound` is None for others."""

    domain: str
    outbound: Outbound | None

    @property
    def pins(self) -> bool:
        return self.outbound is not None and self.outbound.verify is Verify.PIN

    def disowns(self, host: str) -> bool:
        """Whether the rule is a partner's, and does not accept this server's name."""
        if self.outbound is None or not host:
            return False
        names = self.outbound.mx or (self.domain, f".{self.domain}")
        return accepted(names, [host]) is None


def _untried(held: HeldRecipient) -> Reason:
    if held.queue == DEFERRED:
        text = "the attempt failed, and neither the queue nor the log says why"
        return Reason("other", text, _LOG)
    text = "no attempt has ended yet: it is new, is being sent, or waits for its turn"
    return Reason(WAITING, text, "wait a minute; if it stays so, see that the gateway is healthy")


def _certificate(details: tuple[str, ...], place: str, host: str, rule: _Rule) -> Why:
    found = next((match for one in reversed(details) if (match := _VERIFIED.search(one))), None)
    if found is None:
        text = f"the certificate of {place} is not accepted"
        return Why(Reason("untrusted", text, RENEW), exact=False)
    return Why(_refused(found["why"], place, host, rule))


def _refused(why: str, place: str, host: str, rule: _Rule) -> Reason:
    """From the words of tls_verify.c."""
    if "no matching DANE TLSA records" in why and rule.pins:
        return Reason("pin", f"{place} shows a key that is not one of those agreed", NEXT_KEY)
    if "hostname mismatch" in why and rule.disowns(host):
        text = (
            f"DNS leads to {place}, and neither that name nor its certificate is the partner's:"
            " a new mail server, or a forged answer"
        )
        return Reason("foreign-mx", text, "say whether that is its mail server, by a safe way")
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
            "{place} shows a certificate that leads to no CA that is accepted here ({why})",
            f"send the intermediate certificates with it, or {RENEW}",
        ),
        (
            "has expired|not yet valid",
            "dates",
            "the certificate of {place}, or one above it, is out of its dates ({why})",
            RENEW,
        ),
        (
            "hostname mismatch",
            "name",
            "the certificate of {place} is trusted, but for other names than are accepted here",
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
            "the certificate of {place} has too weak a key or signature ({why})",
            "use a key of 2048 bits RSA or P-256, and SHA-256",
        ),
    )
)


def _handshake(said: str, details: tuple[str, ...], place: str) -> Why:
    said_by_openssl = [match["why"] for one in details if (match := _LIBRARY.search(one))]
    why = "; ".join(said_by_openssl)
    if _OLD.search(why):
        text = f"{place} offers TLS 1.1 at most"
        return Why(Reason("old-tls", text, NEWER))
    if _WEAK.search(why):
        text = f"{place} offers only ciphers or keys that are too weak ({why})"
        return Why(Reason("weak", text, STRONGER))
    detail = why or ("it breaks off" if details else said.removeprefix("Cannot start TLS: "))
    return Why(_session(Fault.HANDSHAKE, place, detail), exact=bool(details))


def _policy(said: str, details: tuple[str, ...]) -> Why | None:
    """What TLS the domain needs could not be found out, so nothing is sent."""
    if said.startswith(("no TLSA records found", "TLSA records unusable", "TLSA lookup error")):
        text = f"DANE is demanded, and DNS does not give usable TLSA records ({said})"
        return Why(Reason("tlsa-records", text, _RECORDS))
    if "TLS engine is unavailable" in said:
        return Why(Reason("engine", "the gateway's own TLS does not start", _LOG), ours=True)
    if "configuration problem" not in said:
        return None
    answer = next((match["why"] for one in details if (match := _HELPER.search(one))), "")
    if "look-up failed" in answer:
        text = f"what TLS the domain needs cannot be looked up ({answer})"
        remedy = "check the domain's name servers and its DNSSEC signatures"
        return Why(Reason("policy", text, remedy))
    text = "the policy helper does not say what TLS the domain needs"
    remedy = "see that the policy helper runs (label tlsgate.role=policy), and its log"
    return Why(
        Reason("helper", f"{text} ({answer})" if answer else text, remedy),
        ours=True,
        exact=bool(details),
    )


def _plain(said: str, place: str) -> Why | None:
    """What Postfix's one line says in full."""
    for pattern, fault in _SESSIONS:
        if match := pattern.match(said):
            return Why(_session(fault, place, match.groupdict().get("why") or ""))
    if " said: " in said and said.startswith("host "):
        text = f"{place} itself puts the message off ({said.partition(' said: ')[2]})"
        return Why(Reason("answer", text, _POSTMASTER))
    if re.match(r"server \S+ violates ", said):
        text = f"the MTA-STS policy does not allow the mail server ({said})"
        return Why(Reason("mta-sts-mx", text, _STS))
    if re.match(r"Host or domain name not found|mail for \S+ loops back|Domain \S+ does not", said):
        return Why(
            Reason(
                "mx", f"DNS leads to no server ({said})", "check the domain's MX records and DNS"
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
        raise ValueError(f"{fault} is no fault of a session")
    return reason


def _other(said: str) -> Why:
    return Why(Reason("other", said, _LOG), ours=True)
