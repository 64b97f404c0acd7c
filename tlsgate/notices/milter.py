"""The milter protocol's side (pymilter, which is there only in the container).

Postfix's cleanup(8) hands each notice over before it is queued. Nothing is decided here.
"""

from __future__ import annotations

import threading

import Milter

from tlsgate.events import emit
from tlsgate.notices.contract import HEADER, PROTECTED
from tlsgate.notices.decision import BODY_LIMIT, decide
from tlsgate.notices.domain_list import DomainList
from tlsgate.notices.list_follower import ListFollower

PATIENCE_SECONDS = 60
"""How long to wait for Postfix's next command."""


class NoticeMilter(Milter.Base):  # type: ignore[misc]  # the library has no types
    """One connection of cleanup(8), with one notice after the other."""

    follower: ListFollower
    _last_reason = ""
    _one_at_a_time = threading.Lock()
    """Reading a notice takes several times its memory, and all of them share one processor."""

    def envfrom(self, sender: str, *_parameters: str) -> int:  # noqa: ARG002  # the library's call
        """A notice begins; without a list none is made."""
        self._recipients: list[str] = []
        self._content_type = ""
        self._body = bytearray()
        try:
            self._domain_list: DomainList = self.follower.domain_list()
        except (OSError, ValueError) as fault:
            self._tell(f"the list of partners cannot be read: {fault}")
            return int(Milter.TEMPFAIL)
        self._tell("")
        return int(Milter.CONTINUE)

    @classmethod
    def _tell(cls, reason: str) -> None:
        """An alert for each new reason why notices wait; the health check meets it, too."""
        if reason and reason != cls._last_reason:
            emit(
                "alert",
                what="notices wait",
                reason=reason,
                next="Run `pulumi up` again. Postfix makes the notices when the list is there.",
            )
        cls._last_reason = reason

    def envrcpt(self, recipient: str, *_parameters: str) -> int:
        """One who gets the notice."""
        self._recipients.append(recipient)
        return int(Milter.CONTINUE)

    def header(self, name: str, value: str) -> int:
        """One header of the notice itself."""
        if name.lower() == "content-type":
            self._content_type = value
        return int(Milter.CONTINUE)

    def body(self, chunk: bytes) -> int:
        """A part of the body; what is beyond the limit is not looked at."""
        self._body += chunk[: BODY_LIMIT - len(self._body)]
        return int(Milter.CONTINUE)

    def eom(self) -> int:
        """The notice is complete. An error here, too, means that it is not made."""
        with self._one_at_a_time:
            decision = decide(
                self._domain_list, self._recipients, self._content_type, bytes(self._body)
            )
        if decision.content_type is not None:
            self.chgheader("Content-Type", 1, decision.content_type)
        if decision.body is not None:
            self.replacebody(decision.body)
        if decision.protect:
            self.addheader(HEADER, PROTECTED)
        emit(
            "notice",
            queue_id=self.getsymval("i"),
            to=[self._domain_list.receiver(address) for address in self._recipients],
            content=decision.outcome,
            protected=decision.protect,
            **({"reason": decision.reason} if decision.reason else {}),
        )
        return int(Milter.ACCEPT)


def serve(follower: ListFollower, host: str, port: int) -> None:
    """Serves until SIGTERM. Raises Milter.error if the port cannot be had."""
    NoticeMilter.follower = follower
    Milter.factory = NoticeMilter
    Milter.set_flags(Milter.ADDHDRS | Milter.CHGHDRS | Milter.CHGBODY)
    Milter.set_exception_policy(Milter.TEMPFAIL)
    emit("serving", port=port)
    Milter.runmilter("tlsgate-notices", f"inet:{port}@{host}", PATIENCE_SECONDS)
    emit("stopped")
