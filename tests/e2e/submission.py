"""Mail handed to the gateway's internal listener from this machine, by many clients at once."""

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
    """A session over TLS that checks the gateway's certificate, as our own servers do.

    `at`: where the internal listener is published, by default the demo's; `name`: its host's.
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
    """Send a message to each; tell which were answered with 250. A client whose session broke ends.

    `lines`: of 72 bytes in each message.
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
