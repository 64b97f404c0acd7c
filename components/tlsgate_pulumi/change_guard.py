"""The change guard: a change that weakens much is delivered only if it is explicitly confirmed.

The list is a file of the gateway's generation, so the state contains the list that was delivered
last. The guard is part of the delivery itself: `--target` cannot skip it, and neither `refresh` nor
a renamed file changes what it compares. If the state has no list (`pulumi state delete`,
`up --replace`), the new list is compared with the one in the gateway's container.

In a list of ten or more, one partner per change is allowed: reviewers look at that. Several in one
change, or a large part of a small list, could also be a mistake in a script.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence

from docker.errors import NotFound
from pulumi.runtime.rpc import contains_unknowns

from tlsgate.partners.diff import (
    diff_lists,
    weakened_partners,
    weakening_digest,
    weakenings_of,
)
from tlsgate.partners.format import LIST_FILE
from tlsgate.partners.model import Partner, partner_from_dict
from tlsgate.review.lines import Line, describe_domains, report_lines
from tlsgate.review.text import plain, value
from tlsgate_pulumi import engine
from tlsgate_pulumi.dynamic import Props

SHARE = 10
"""Percent of the list that one change may weaken without confirmation."""
SHOWN_LINES = 20


def check_change(olds: Props, news: Props, live: str) -> str | None:
    """Return why a delivery is refused; None if it is allowed.

    `olds` and `news` are a Delivery's inputs; `live` is the path of the list in the server's
    container. Raises DeploymentError if the state has no list and no engine answers.
    """
    if contains_unknowns(news["files"]):
        return None  # in a preview; `up` checks again when they are known
    new = news["files"].get(LIST_FILE)
    if new is None:
        return None
    old = olds.get("files", {}).get(LIST_FILE)
    if old is None and not contains_unknowns(news.get("engine")):
        old = _live_list(news, live)
    if old is None or old == new:
        return None
    return refusal(_partners(old), _partners(new), news["accept_weakening"])


def refusal(old: Sequence[Partner], new: Sequence[Partner], accepted: str) -> str | None:
    """Return why a change of the list is refused, with its digest; None if it is allowed.

    `accepted` is the digest of the change that was confirmed; "" for none.
    """
    changes = diff_lists(old, new)
    found = weakenings_of(changes)
    names = weakened_partners(found)
    digest = weakening_digest(found)
    if len(names) <= 1 and len(names) * 100 <= SHARE * len(old):
        return None
    if accepted == digest:
        return None
    lines = [_describe(line) for line in report_lines(changes) if line.weakened]
    more = [f"  and {len(lines) - SHOWN_LINES} more"] if len(lines) > SHOWN_LINES else []
    return "\n".join(
        [
            f"this change removes or weakens {len(names)} of {len(old)} partners. More than one, or"
            f" more than {SHARE} % of the list, must be confirmed:",
            *lines[:SHOWN_LINES],
            *more,
            "If you want all of this, run: pulumi config set tlsgate:acceptWeakening " + digest,
            f'In a program with MailGatewayArgs, set: accept_weakening="{digest}"',
            "That allows this change and no other."
            + (" The digest that is set now is that of another change." if accepted else ""),
        ]
    )


def _describe(line: Line) -> str:
    where = plain(describe_domains(line.keys))
    return f"  {line.kind.value.upper()} {value(line.partner)} ({where}): {plain(line.change)}"


def _partners(text: str) -> list[Partner]:
    return [partner_from_dict(record) for record in json.loads(text)]


def _live_list(props: Props, path: str) -> str | None:
    """Return the list in the server's container, running or not; None if there is none."""
    client = engine.connect(props.get("engine"))
    try:
        stream, _ = client.containers.get(props["server"]).get_archive(path)
    except NotFound:
        return None
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
        found = [tar.extractfile(member) for member in tar.getmembers() if member.isfile()]
    return next((file.read().decode() for file in found if file is not None), None)
