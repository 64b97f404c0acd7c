"""The CAs of the configuration: whose turn it is, and what is asked of each of them."""

from __future__ import annotations

from datetime import timedelta

from tlsgate.acme import ari
from tlsgate.acme.authority import Authority, Means
from tlsgate.acme.backoff import Failures
from tlsgate.acme.choice import next_turn
from tlsgate.acme.config import Config
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.paths import Paths
from tlsgate.acme.request import Issued, Request
from tlsgate.events import emit

_TEND_AGAIN = timedelta(hours=6)


class Authorities:
    """The first CA, and the one that stands in for it."""

    def __init__(self, config: Config, paths: Paths, means: Means) -> None:
        self._cas = config.turns
        self._means = means
        self._failures = Failures(paths.failures)
        self._authorities = {
            ca.directory: Authority(ca, paths.account(ca.directory), means) for ca in config.cas
        }
        self._tended = {directory: means.clock() - _TEND_AGAIN for directory in self._authorities}

    def obtain(self, request: Request) -> Issued:
        """Orders at the CA whose turn it is. Raises AcmeFault, or Stopped."""
        now = self._means.clock()
        failure = self._failures.get(request.certificate)
        count, holds = (failure.count, failure.holds) if failure else (0, {})
        turn = next_turn(self._cas, count, holds, now)
        if turn.at > now:
            fault = AcmeFault(
                f"not asked: the CA at {turn.directory} said, not before "
                f"{turn.at:%Y-%m-%d %H:%M:%S} UTC\n{failure.reason if failure else ''}".rstrip(),
                "Wait; the agent goes on by itself then",
                turn.at,
                untried=True,
            )
            fault.directory = turn.directory
            raise fault
        return self._authorities[turn.directory].obtain(request)

    def suggestion(self, directory: str, identifier: str) -> ari.Suggestion | None:
        """Renewal information of the CA that issued; None from one that is configured no more.

        Raises AcmeFault.
        """
        authority = self._authorities.get(directory)
        return authority.suggestion(identifier) if authority else None

    def tend(self) -> None:
        """Keeps the accounts as configured; what fails is said, and tried again later."""
        now = self._means.clock()
        for directory, authority in self._authorities.items():
            if now - self._tended[directory] < _TEND_AGAIN:
                continue
            try:
                authority.tend()
            except AcmeFault as fault:
                self._tended[directory] = now
                emit(
                    "alert",
                    what=f"the contact of the account at {directory} could not be changed",
                    reason=fault.reason,
                    next=f"Tried again in {_TEND_AGAIN}; certificates are not affected.",
                )
