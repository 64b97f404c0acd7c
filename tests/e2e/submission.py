"""Submits mail from this machine to the gateway's internal listener, with many parallel clients."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from lab import plan
from lab.bring_up import ROOTS
from lab.driver import message_text
from tests.e2e.smtp_session import INTERNAL, endpoint

SENDER = "alice@corp.example"
CLIENTS = 8
TIMEOUT = 30.0
FILLING = "x" * 70 + "\r\n"


@contextmanager
def client(
    at: tuple[str, int] | None = None, name: str = plan.GATEWAY_HOST
) -> Iterator[smtplib.SMTP]:
    """A TLS session that checks the gateway's certificate, as the internal servers do.

    `at`: address and port of the internal listener, by default the demo's; `name`: its host name.
    """
    host, port = at or endpoint(INTERNAL)
    smtp = smtplib.SMTP(timeout=TIMEOUT, local_hostname="client.corp.example")
    # The port is published at another name than the certificate's.
    smtp._host = name  # type: ignore[attr-defined]
    try:
        smtp.connect(host, port)
        smtp.starttls(context=ssl.create_default_context(cafile=str(ROOTS)))
        yield smtp
    finally:
        smtp.close()


def submit(
    recipients: Iterable[str],
    accepted: Callable[[str], None] = lambda _recipient: None,
    lines: int = 1,
) -> None:
    """Send a message to each; return those answered with 250. A client ends if its session breaks.

    `lines`: number of 72-byte lines in each message.
    """
    waiting = list(recipients)
    with ThreadPoolExecutor(CLIENTS) as pool:
        parts = [waiting[number::CLIENTS] for number in range(CLIENTS)]
        list(pool.map(lambda part: _submit(part, accepted, lines), parts))


def _submit(recipients: list[str], accepted: Callable[[str], None], lines: int) -> None:
    try:
        with client() as smtp:
            for recipient in recipients:
                token = recipient.partition("@")[0]
                text = message_text(SENDER, recipient, token) + FILLING * lines
                smtp.sendmail(SENDER, recipient, text)
                accepted(recipient)
    except (smtplib.SMTPException, OSError):
        return
