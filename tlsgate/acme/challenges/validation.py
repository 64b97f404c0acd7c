"""Proves control of an order's names to the CA (RFC 8555, section 7.5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from acme import messages
from acme.errors import TimeoutError

from tlsgate.acme.ca.client import AcmeServer
from tlsgate.acme.ca.problem_documents import describe, remedy
from tlsgate.acme.ca.rate_limits import RateLimiter
from tlsgate.acme.challenges.responses import ChallengeResponse, ChallengeResponses
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.process import Pause

VALIDATION_SECONDS = 180.0
_REMEDY = "Check that the CA can see the response there; then try again"
_KIND = "failed_authorizations"


class Validation:
    """Responds to challenges of the configured type."""

    def __init__(
        self,
        responses: ChallengeResponses,
        limiter: RateLimiter,
        pause: Pause,
        elapsed: Callable[[], float],
    ) -> None:
        self._responses = responses
        self._limiter = limiter
        self._pause = pause
        self._elapsed = elapsed

    def validate(
        self, server: AcmeServer, authorizations: Sequence[messages.AuthorizationResource]
    ) -> None:
        """Waits until all are valid. Leaves no response in place. Raises AcmeFault, or Stopped.

        A fault without a cause is the CA's decision about a name; any other is a failed request.
        """
        pending = [
            authorization
            for authorization in authorizations
            if authorization.body.status != messages.STATUS_VALID
        ]
        if not pending:
            return
        challenges = [self._challenge(authorization) for authorization in pending]
        responses = [
            ChallengeResponse(
                authorization.body.identifier.value,
                challenge.chall.encode("token"),
                challenge.chall.key_authorization(server.account_key),
            )
            for authorization, challenge in zip(pending, challenges, strict=True)
        ]
        names = [response.name for response in responses]
        for name in names:
            self._limiter.check(_KIND, name, name)
        with self._responses.in_place(responses):
            # Counts as failed until it is known to be valid, so that a crash cannot hide a failure.
            self._limiter.count(_KIND, names)
            for challenge in challenges:
                if challenge.status != messages.STATUS_PENDING:
                    continue  # answered before, by a process that did not see the end of it
                with server.explaining_errors("answering a challenge"):
                    server.protocol.answer_challenge(
                        challenge, challenge.chall.response(server.account_key)
                    )
            deadline = self._elapsed() + VALIDATION_SECONDS
            results = [self._settled(server, entry, deadline) for entry in pending]
            faults = [
                self._refusal(result, response)
                for result, response in zip(results, responses, strict=True)
                if result.body.status != messages.STATUS_VALID
            ]
        self._limiter.uncount(
            _KIND,
            [
                response.name
                for result, response in zip(results, responses, strict=True)
                if result.body.status == messages.STATUS_VALID
            ],
        )
        if faults:
            remedies = dict.fromkeys(fault.remedy for fault in faults)
            raise AcmeFault("\n".join(fault.reason for fault in faults), ". ".join(remedies))

    def _challenge(self, authorization: messages.AuthorizationResource) -> messages.ChallengeBody:
        wanted = self._responses.solver.type
        for challenge in authorization.body.challenges:
            if challenge.chall.typ == wanted:
                return challenge
        offered = sorted(challenge.chall.typ for challenge in authorization.body.challenges)
        name = authorization.body.identifier.value
        raise AcmeFault(
            f"the CA does not offer {wanted} for {name}, but {', '.join(offered) or 'nothing'}",
            "Set tlsgate:acme.challenge to one that the CA offers",
        )

    def _settled(
        self, server: AcmeServer, authorization: messages.AuthorizationResource, deadline: float
    ) -> messages.AuthorizationResource:
        name = authorization.body.identifier.value
        wait = 0.25
        while True:
            with server.explaining_errors(f"asking for the validation of {name}"):
                authorization, _ = server.protocol.poll(authorization)
                if authorization.body.status != messages.STATUS_PENDING:
                    return authorization
                if self._elapsed() > deadline:
                    raise TimeoutError
            wait = min(2 * wait, 5.0)
            self._pause(server.wait_seconds(wait))

    def _refusal(
        self, result: messages.AuthorizationResource, response: ChallengeResponse
    ) -> AcmeFault:
        """What the CA says about the challenge, and what we see."""
        errors = [entry.error for entry in result.body.challenges if entry.error is not None]
        words = "\n".join(describe(error) for error in errors)
        reason = (
            f"the {self._responses.solver.type} challenge for {response.name} failed: "
            f"{words or f'its authorization is {result.body.status.name}'}\n"
            f"  {self._responses.solver.where(response)}"
        )
        return AcmeFault(reason, remedy(errors[0]) if errors else _REMEDY)
