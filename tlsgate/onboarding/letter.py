"""The letter to a new partner's postmaster: what we require, our servers, and what happens next.

Plain text that begins with the headers of a mail. Pure.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from tlsgate.certificates.names import described
from tlsgate.onboarding.evidence import EvidenceThresholds
from tlsgate.onboarding.own_domains import OwnDomain
from tlsgate.partners.model import Partner, Require, Verify
from tlsgate.probe.published import Sts
from tlsgate.probe.result import ProbeResult
from tlsgate.problems import visible
from tlsgate.tls import demand

WIDTH = 76
_STS = {Sts.ENFORCE: "enforced", Sts.TESTING: "in testing"}


def letter(
    partner: Partner, found: Sequence[ProbeResult], ours: Sequence[OwnDomain], ask: str
) -> str:
    """Return the letter.

    `found`: what the partner's servers show, compared with the record; `ask`: our address for
    questions.
    """
    lines = [
        f"To: {partner.contact}",
        f"Subject: Encrypted mail between {ours[0].name} and {partner.domains[0]}",
        "",
        "Dear postmaster,",
        "",
        *_wrapped(
            f"{partner.name} and we agreed on {partner.agreed} that mail between us is sent only"
            " over authenticated TLS. This letter says what your servers need for that, what you"
            " can require of ours, and what happens next."
        ),
        "",
        "1. Mail from us to you",
        "",
        *_outbound(partner),
        "",
        "What your servers show today:",
        *(_item(one.sentence) for one in found),
        *_unconfirmed(partner, found),
        "",
        "2. Mail from you to us",
        "",
        *_inbound(partner),
        "",
        "3. Our servers",
        "",
        *_ours(ours),
        "",
        "4. What happens next",
        "",
        *_next(partner),
        "",
        f"Please send questions and notice of changes to {ask}",
    ]
    return "".join(f"{line}\n" for line in lines)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(visible(text), WIDTH, break_long_words=False, break_on_hyphens=False)


def _item(text: str) -> str:
    return textwrap.fill(
        visible(text),
        WIDTH,
        initial_indent="- ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _domains(partner: Partner) -> str:
    below = " and all domains below" if partner.subdomains else ""
    return f"{', '.join(partner.domains)}{below}"


def _outbound(partner: Partner) -> list[str]:
    rule = partner.outbound
    names = described(rule.mx) if rule.mx else "the mail domain itself or a name below it"
    proof = {
        Verify.PKIX: f"a valid certificate of a public CA for {names}",
        Verify.DANE: "a key in a TLSA record, signed with DNSSEC like your MX (RFC 7672)",
        Verify.PIN: "one of these keys (SHA-256 of the SPKI): " + ", ".join(rule.public_keys),
        Verify.PRIVATE_CA: f"a valid certificate of your own CA, as agreed, for {names}",
    }[rule.verify]
    return _wrapped(
        f"For {_domains(partner)}: every server in your MX records must offer STARTTLS with"
        f" {demand(partner.tls)}, and prove its identity with {proof}."
    )


def _unconfirmed(partner: Partner, found: Sequence[ProbeResult]) -> Iterator[str]:
    names = sorted({name for one in found if not one.satisfied for name in one.mx_names})
    if names and not partner.outbound.mx:
        yield _item(
            "If we should accept other names of your servers, please confirm them. So far we know"
            f" them only from DNS: {', '.join(names)}."
        )


def _inbound(partner: Partner) -> list[str]:
    rule = partner.inbound
    text = f"Mail from addresses in {_domains(partner)} must be sent over {demand(partner.tls)}"
    if rule.require is Require.CERTIFICATE:
        text += (
            ", from a client that presents a certificate with one of these keys (SHA-256 of the"
            f" SPKI): {', '.join(rule.public_keys)}"
        )
    elif rule.require is Require.NETWORK:
        text += f", from {', '.join(rule.networks)}"
    return _wrapped(f"{text}. We refuse other mail for the time being; it stays in your queue.")


def _ours(ours: Sequence[OwnDomain]) -> Iterator[str]:
    yield from _wrapped(
        "They have certificates of a public CA for their own names. Please require that. In"
        " Postfix, these are the entries for smtp_tls_policy_maps:"
    )
    yield ""
    width = max(len(one.name) for one in ours)
    for one in ours:
        names = ":".join(host.name for host in one.hosts)
        yield f"    {one.name:{width}}  secure match={names}"
    yield ""
    yield from _wrapped(
        "In another mail server: set mandatory TLS for these domains, and verify the certificate"
        " for these host names."
    )
    hosts = {host.name: host for one in ours for host in one.hosts}
    if any(host.tlsa for host in hosts.values()):
        yield ""
        yield from _wrapped(
            "DANE: these records are signed with DNSSEC. Look them up rather than copy them: they"
            " change with our keys."
        )
        yield ""
        for host in hosts.values():
            yield from (f"    _25._tcp.{host.name}. TLSA {record}" for record in host.tlsa)
    stated = [f"{one.name} ({_STS[one.sts]})" for one in ours if one.sts in _STS]
    if stated:
        yield ""
        yield from _wrapped(f"MTA-STS (RFC 8461): {', '.join(stated)}.")


def _next(partner: Partner) -> Iterator[str]:
    wanted = EvidenceThresholds()
    yield from _wrapped(
        "For now we only observe: mail is delivered as before, and we count the messages that"
        f" would not meet the above. After {wanted.days} days and {wanted.outbound} messages in"
        " each direction without such a message, we enforce it, and tell you that day. From then"
        " on, mail that does not meet the above waits, is tried again, and is returned to its"
        " sender after some days. It is never sent unprotected."
    )
    yield ""
    yield from _wrapped(
        "Please tell us before you change servers, their names or their CA"
        + (
            ", or a key above"
            if partner.outbound.public_keys or partner.inbound.public_keys
            else ""
        )
        + f". We will ask you to confirm this agreement again by {partner.review}."
    )
