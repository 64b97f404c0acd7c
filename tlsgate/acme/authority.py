"""One order at the CA, from the names to the chain (RFC 8555, section 7.4)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NoReturn

from acme import crypto_util, messages
from acme.errors import IssuanceError, TimeoutError

from tlsgate.acme.account import account_key, open_account
from tlsgate.acme.config import Config
from tlsgate.acme.faults import AcmeFault, describe, remedy
from tlsgate.acme.keys import Key, to_pem
from tlsgate.acme.paths import Paths
from tlsgate.acme.proofs import Proof, Proofs
from tlsgate.acme.request import Issued, Request
from tlsgate.acme.running import Pause
from tlsgate.acme.server import Server
from tlsgate.acme.store import Meta
from tlsgate.acme.trust import system_roots
from tlsgate.events import emit

VALIDATION_SECONDS = 180.0
FINALIZATION_SECONDS = 180.0
CONNECTION_SECONDS = 600.0
REFUSED_SECONDS = 10.0
"""How long a CA that cannot be used is left alone: forty certificates need not all wait for it."""
_CHALLENGE_REMEDY = "See that the CA can see the answer there; then try again"


class Authority:
    """The configured CA; connected, and its account opened, when there is something to order."""

    def __init__(self, config: Config, paths: Paths, proofs: Proofs, pause: Pause) -> None:
        self._config = config
        self._paths = paths
        self._proofs = proofs
        self._pause = pause
        self._connected: tuple[Server, float] | None = None
        self._refused: tuple[AcmeFault, float] | None = None

    def obtain(self, request: Request) -> Issued:
        """Orders a certificate of this key for these names.

        No answer to a challenge is left in place. Raises AcmeFault, or Stopped.
        """
        self._proofs.clean()
        try:
            chain = self._ordered(request.names, request.key)
            return Issued(chain, Meta(self._config.directory, self._config.profile))
        except AcmeFault:
            # What was true of the CA and of the account may be true no more.
            self._connected = None
            raise

    def _ordered(self, names: Sequence[str], key: Key) -> bytes:
        server = self._server()
        csr = crypto_util.make_csr(to_pem(key), list(names))  # names in the SAN alone: no CN
        with server.told(f"ordering a certificate for {', '.join(names)}"):
            order = server.protocol.new_order(csr, self._config.profile)
        emit("order", uri=order.uri, names=list(names))
        self._validate(server, order)
        return self._finalize(server, order)

    def _server(self) -> Server:
        """One connection serves the certificates of one look; the agent lives for months."""
        if self._connected is not None:
            server, until = self._connected
            if time.monotonic() < until:
                return server
        if self._refused is not None and time.monotonic() < self._refused[1]:
            raise self._refused[0]
        try:
            server = self._connect()
        except AcmeFault as fault:
            self._refused = fault, time.monotonic() + REFUSED_SECONDS
            raise
        self._connected = server, time.monotonic() + CONNECTION_SECONDS
        return server

    def _connect(self) -> Server:
        path = self._paths.account(self._config.directory)
        roots = self._config.ca_file or system_roots()
        server = Server(self._config.directory, account_key(path), roots)
        emit("account", uri=open_account(server, path, self._config))
        return server

    def _validate(self, server: Server, order: messages.OrderResource) -> None:
        pending = [
            authorization
            for authorization in order.authorizations
            if authorization.body.status != messages.STATUS_VALID
        ]
        if not pending:
            return
        challenges = [self._challenge(authorization) for authorization in pending]
        proofs = [
            Proof(
                authorization.body.identifier.value,
                challenge.chall.encode("token"),
                challenge.chall.key_authorization(server.account_key),
            )
            for authorization, challenge in zip(pending, challenges, strict=True)
        ]
        with self._proofs.standing(proofs):
            for challenge in challenges:
                with server.told("answering a challenge"):
                    server.protocol.answer_challenge(
                        challenge, challenge.chall.response(server.account_key)
                    )
            deadline = time.monotonic() + VALIDATION_SECONDS
            results = [self._settled(server, entry, deadline) for entry in pending]
            faults = [
                self._refusal(result, proof)
                for result, proof in zip(results, proofs, strict=True)
                if result.body.status != messages.STATUS_VALID
            ]
        if faults:
            remedies = dict.fromkeys(fault.remedy for fault in faults)
            raise AcmeFault("\n".join(fault.reason for fault in faults), ". ".join(remedies))

    def _challenge(self, authorization: messages.AuthorizationResource) -> messages.ChallengeBody:
        wanted = self._proofs.solver.type
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
        self, server: Server, authorization: messages.AuthorizationResource, deadline: float
    ) -> messages.AuthorizationResource:
        name = authorization.body.identifier.value
        wait = 0.25
        while True:
            with server.told(f"asking for the validation of {name}"):
                authorization, _ = server.protocol.poll(authorization)
                if authorization.body.status != messages.STATUS_PENDING:
                    return authorization
                if time.monotonic() > deadline:
                    raise TimeoutError
            wait = min(2 * wait, 5.0)
            self._pause(server.wait_seconds(wait))

    def _refusal(self, result: messages.AuthorizationResource, proof: Proof) -> AcmeFault:
        """What the CA says of the challenge, and what is seen from here."""
        errors = [entry.error for entry in result.body.challenges if entry.error is not None]
        words = "\n".join(describe(error) for error in errors)
        reason = (
            f"the {self._proofs.solver.type} challenge for {proof.name} failed: "
            f"{words or f'its authorization is {result.body.status.name}'}\n"
            f"  {self._proofs.solver.where(proof)}"
        )
        return AcmeFault(reason, remedy(errors[0]) if errors else _CHALLENGE_REMEDY)

    def _finalize(self, server: Server, order: messages.OrderResource) -> bytes:
        doing = "finalizing the order"
        deadline = time.monotonic() + FINALIZATION_SECONDS
        with server.told(doing):
            body = server.protocol.begin_finalization(order).body
        wait = 0.25
        while body.status != messages.STATUS_VALID:
            if body.status == messages.STATUS_INVALID:
                _invalid(server, body, doing)
            wait = min(2 * wait, 5.0)
            self._pause(server.wait_seconds(wait))
            with server.told(doing):
                if time.monotonic() > deadline:
                    raise TimeoutError
                body = server.protocol.order(order.uri)
        with server.told("downloading the certificate"):
            if body.certificate is None:
                raise KeyError("certificate")
            return server.protocol.download(body.certificate).encode()


def _invalid(server: Server, body: messages.Order, doing: str) -> NoReturn:
    if body.error is None:
        raise AcmeFault(f"{doing}: the CA gave the order up without a word why", "Try again later")
    with server.told(doing):
        raise IssuanceError(body.error)
