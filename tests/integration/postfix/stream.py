"""Sends mail without a pause while a test changes something."""

from __future__ import annotations

import itertools
import smtplib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.integration.postfix.world import World

MESSAGE = "Subject: x\r\n\r\n"
ENDED = 421


def send_on(world: World, session: smtplib.SMTP, recipient: str) -> smtplib.SMTP:
    """Sends one message, in a new session if the gateway has ended the old one (421)."""
    try:
        session.sendmail("a@corp.example", [recipient], MESSAGE)
    except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError) as refused:
        codes = (
            [code for code, _ in refused.recipients.values()]
            if isinstance(refused, smtplib.SMTPRecipientsRefused)
            else [refused.smtp_code]
        )
        if codes != [ENDED]:
            raise
        session = world.session(2525)
        session.sendmail("a@corp.example", [recipient], MESSAGE)
    return session


@contextmanager
def stream(world: World, recipient: Callable[[int], str], pause: float) -> Iterator[None]:
    """Sends to `recipient(number)` for 0, 1, 2 … until the block ends."""
    over = threading.Event()

    def run() -> None:
        session = world.session(2525)
        for number in itertools.count():
            if over.is_set():
                break
            session = send_on(world, session, recipient(number))
            time.sleep(pause)
        session.quit()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
