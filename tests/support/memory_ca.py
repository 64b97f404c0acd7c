"""A CA in memory (RFC 8555, RFC 9773), behind the transport of `requests`: no socket, any clock.

It counts its requests itself, and can fail in ways that a real CA on a test bench cannot:
rate limits, outages, malformed answers, orders that are never filled.
Signatures of requests are not checked: Pebble does that in the integration tests.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import requests
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from requests.adapters import BaseAdapter

from tests.support.memory_pki import Signer

LIFETIME = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer. `body`: JSON, or a text as it is."""

    status: int
    body: object = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """A request: `resource` is the kind of resource, `rest` identifies it."""

    resource: str
    rest: str
    payload: Any
    account: str


@dataclass
class Order:
    """An order at the CA."""

    id: str
    account: str
    names: tuple[str, ...]
    replaces: str | None
    authorizations: list[str]
    status: str = "pending"
    chain: str = ""


@dataclass(frozen=True, slots=True)
class Issue:
    """A certificate that was issued."""

    at: datetime
    names: tuple[str, ...]
    replaces: str | None
    serial: int


def problem(status: int, kind: str, detail: str, headers: Mapping[str, str] | None = None) -> Reply:
    """A problem document (RFC 9457)."""
    body = {"type": f"urn:ietf:params:acme:error:{kind}", "detail": detail}
    return Reply(status, body, {"Content-Type": "application/problem+json", **(headers or {})})


class MemoryCa(BaseAdapter):
    """`clock`: the CA's own. Tests set the public attributes."""

    def __init__(self, host: str, clock: Callable[[], datetime]) -> None:
        super().__init__()
        self.base = f"https://{host}"
        self.clock = clock
        self.down = False
        self.never_valid: Callable[[str], bool] = lambda _name: False
        self.processing = False
        self.reuse = False
        self.answer: Callable[[Call], Reply | None] = lambda _call: None
        """Called first; if it returns an answer, the CA sends that."""
        self.window: Callable[[str], Reply] | None = None
        """CertID → renewal information; None: the CA has none."""
        self.calls: list[Call] = []
        self.orders: dict[str, Order] = {}
        self.placed: list[datetime] = []
        """When each order was placed."""
        self.issued: list[Issue] = []
        self.failed: list[tuple[datetime, str]] = []
        self.accounts: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, str] = {}
        """An account key's thumbprint → the account's URI."""
        self._authorizations: dict[str, dict[str, Any]] = {}
        self._valid: dict[tuple[str, str], str] = {}
        self._nonces = self._numbers = 0
        self._handlers: dict[str, Callable[[Call], Reply]] = {
            "dir": self._dir,
            "nonce": lambda _call: Reply(200),
            "account": self._account,
            "change": self.change_key,
            "order": self._order,
            "authz": self._authz,
            "challenge": self._challenge,
            "finalize": self._finalize,
            "certificate": self._certificate,
            "renewal": self._renewal,
        }
        self._signer = Signer(f"root of {host}", clock())
        self.root = self._signer.root

    @property
    def directory(self) -> str:
        """The directory's URL."""
        return f"{self.base}/dir"

    def count(self, resource: str) -> int:
        """How many requests there were for such a resource."""
        return sum(call.resource == resource for call in self.calls)

    def forget(self) -> None:
        """Deletes the requests, failed validations and finished orders."""
        self.calls.clear()
        self.failed.clear()
        for order in list(self.orders.values()):
            self._settle(order)
            if order.status in ("valid", "invalid"):
                del self.orders[order.id]
                for number in order.authorizations:
                    self._authorizations.pop(number, None)

    def close(self) -> None:
        """There is nothing to close."""

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """Answers a request."""
        if self.down:
            raise requests.ConnectionError("the CA is down")
        call = self._call(request)
        self.calls.append(call)
        reply = self.answer(call) or self._handlers[call.resource](call)
        response = requests.Response()
        response.status_code = reply.status
        response.url, response.request = str(request.url), request
        text = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
        response._content = text.encode()  # as requests' own adapters do
        self._nonces += 1
        nonce = base64.urlsafe_b64encode(f"nonce-{self._nonces}".encode()).decode().rstrip("=")
        response.headers.update({"Replay-Nonce": nonce, "Content-Type": "application/json"})
        response.headers["Date"] = format_datetime(self.clock(), usegmt=True)
        response.headers.update(reply.headers)
        return response

    def _call(self, request: requests.PreparedRequest) -> Call:
        resource, _, rest = str(request.url).removeprefix(f"{self.base}/").partition("/")
        payload, account = None, ""
        if request.body:
            envelope = json.loads(request.body)
            header = json.loads(_decoded(envelope["protected"]))
            content = _decoded(envelope["payload"])
            payload = json.loads(content) if content else None
            account = header.get("kid") or _thumbprint(header["jwk"])
        return Call(resource, rest, payload, account)

    def _dir(self, _call: Call) -> Reply:
        names = {
            "newNonce": "nonce",
            "newAccount": "account",
            "newOrder": "order",
            "keyChange": "change",
        }
        urls = {name: f"{self.base}/{path}" for name, path in names.items()}
        if self.window is not None:
            urls["renewalInfo"] = f"{self.base}/renewal"
        return Reply(200, urls)

    def _account(self, call: Call) -> Reply:
        if call.rest:
            self.accounts[call.account].update(call.payload or {})
            return Reply(200, self.accounts[call.account])
        uri = self.keys.get(call.account)
        if uri is not None:
            return Reply(200, self.accounts[uri], {"Location": uri})
        if call.payload.get("onlyReturnExisting"):
            return problem(400, "accountDoesNotExist", "no account has this key")
        uri = self.keys[call.account] = f"{self.base}/account/{len(self.accounts) + 1}"
        self.accounts[uri] = {"status": "valid", "contact": call.payload.get("contact", [])}
        return Reply(201, self.accounts[uri], {"Location": uri})

    def change_key(self, call: Call) -> Reply:
        """What a request for another account key does (RFC 8555, section 7.3.5)."""
        new = _thumbprint(json.loads(_decoded(call.payload["protected"]))["jwk"])
        change = json.loads(_decoded(call.payload["payload"]))
        old = _thumbprint(change["oldKey"])
        if self.keys.get(old) != call.account or change["account"] != call.account:
            return problem(400, "malformed", "that is not the account's key")
        self.keys[new] = self.keys.pop(old)
        return Reply(200, self.accounts[call.account])

    def _order(self, call: Call) -> Reply:
        if self.accounts.get(call.account, {}).get("status") != "valid":
            return problem(403, "unauthorized", "the account is not valid")
        if not call.rest:
            return self._new_order(call)
        order = self.orders[call.rest]
        if order.status == "processing" and not self.processing:
            order.status = "valid"
        return self._shown(order)

    def _new_order(self, call: Call) -> Reply:
        names = tuple(sorted(entry["value"] for entry in call.payload["identifiers"]))
        self.placed.append(self.clock())
        number = f"{len(self.placed)}"
        authorizations = [self._authorized(call.account, name) for name in names]
        replaces = call.payload.get("replaces")
        order = Order(number, call.account, names, replaces, authorizations)
        self.orders[number] = order
        self._settle(order)
        shown = self._shown(order)
        return Reply(201, shown.body, {"Location": f"{self.base}/order/{number}"})

    def _authorized(self, account: str, name: str) -> str:
        known = self._valid.get((account, name))
        if self.reuse and known:
            return known
        self._numbers += 1
        number = f"{self._numbers}"
        self._authorizations[number] = {"name": name, "account": account, "status": "pending"}
        return number

    def _settle(self, order: Order) -> None:
        """An order is ready when every name is validated, invalid when one is refused."""
        if order.status != "pending":
            return
        found = {self._authorizations[number]["status"] for number in order.authorizations}
        if "invalid" in found:
            order.status = "invalid"
        elif found == {"valid"}:
            order.status = "ready"

    def _shown(self, order: Order) -> Reply:
        self._settle(order)
        values: dict[str, object] = {
            "status": order.status,
            "identifiers": [{"type": "dns", "value": name} for name in order.names],
            "authorizations": [f"{self.base}/authz/{number}" for number in order.authorizations],
            "finalize": f"{self.base}/finalize/{order.id}",
        }
        if order.status == "valid":
            values["certificate"] = f"{self.base}/certificate/{order.id}"
        return Reply(200, values)

    def _authz(self, call: Call) -> Reply:
        entry = self._authorizations[call.rest]
        url = f"{self.base}/challenge/{call.rest}"
        challenge = {"url": url, "token": "dG9rZW4tb2YtdGhlLXRlc3QtY2EtaW4tbWVtb3J5"}
        challenge["status"] = entry["status"]
        if entry["status"] == "invalid":
            challenge["error"] = problem(403, "unauthorized", "not the answer").body  # type: ignore[assignment]
        return Reply(
            200,
            {
                "identifier": {"type": "dns", "value": entry["name"]},
                "status": entry["status"],
                "challenges": [{**challenge, "type": "http-01"}],
            },
        )

    def _challenge(self, call: Call) -> Reply:
        entry = self._authorizations[call.rest]
        entry["status"] = "invalid" if self.never_valid(entry["name"]) else "valid"
        if entry["status"] == "invalid":
            self.failed.append((self.clock(), entry["name"]))
        else:
            self._valid[(entry["account"], entry["name"])] = call.rest
        up = f'<{self.base}/authz/{call.rest}>;rel="up"'
        shown: Any = self._authz(call).body
        return Reply(200, shown["challenges"][0], {"Link": up})

    def _finalize(self, call: Call) -> Reply:
        order = self.orders[call.rest]
        self._settle(order)
        if order.status != "ready":
            return problem(403, "orderNotReady", f"the order is {order.status}")
        csr = x509.load_der_x509_csr(_decoded(call.payload["csr"]))
        leaf = self._signer.sign(order.names, csr.public_key(), self.clock(), LIFETIME)
        order.chain = leaf.public_bytes(serialization.Encoding.PEM).decode()
        issue = Issue(self.clock(), order.names, order.replaces, leaf.serial_number)
        self.issued.append(issue)
        order.status = "processing" if self.processing else "valid"
        return self._shown(order)

    def _certificate(self, call: Call) -> Reply:
        return Reply(200, self.orders[call.rest].chain, {"Content-Type": "application/pem"})

    def _renewal(self, call: Call) -> Reply:
        return self.window(call.rest) if self.window else problem(404, "malformed", "none here")


def window(start: datetime, end: datetime, retry_after: int = 21600) -> Reply:
    """Renewal information (RFC 9773, section 4.2)."""
    times = {"start": start.isoformat(), "end": end.isoformat()}
    return Reply(200, {"suggestedWindow": times}, {"Retry-After": f"{retry_after}"})


def serial_of(identifier: str) -> int:
    """The serial in a CertID (RFC 9773, section 4.1)."""
    return int.from_bytes(_decoded(identifier.partition(".")[2]))


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _thumbprint(jwk: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(jwk, sort_keys=True).encode()).hexdigest()[:12]
