"""How an MTA-STS policy is found and fetched (RFC 8461, sections 3.1 and 3.3).

The look-ups and the request are not those of the library postfix-mta-sts-resolver, which treats a
failed TXT look-up as "no policy": here the two are different.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable, Sequence

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from dns.rdtypes.ANY.TXT import TXT
from postfix_mta_sts_resolver.utils import is_plaintext

from tlsgate.dns.lookups import Answer, DnsLookups, LookupFailure
from tlsgate.mta_sts.policy import PolicyFault, StsPolicy, parse_policy, policy_id

FETCH_SECONDS = 20.0
"""Of one fetch, with its look-ups. RFC 8461, section 3.3, suggests a minute; a host that needs more
than this probably hangs, and the number of fetches is limited."""
BODY_LIMIT = 64 * 1024
"""Octets, as RFC 8461, section 3.3, suggests."""


class FetchFault(Exception):
    """The policy host cannot be reached, is not authenticated, or serves no policy file."""


class PolicyFetcher:
    """Asks DNS and the policy hosts; `trust` gives the roots that count now."""

    def __init__(
        self, lookups: DnsLookups, trust: Callable[[], ssl.SSLContext], port: int = 443
    ) -> None:
        self._lookups = lookups
        self._trust = trust
        self._port = port

    async def policy_id(self, domain: str) -> str | None:
        """The id of the domain's policy, None if it has none. Raises LookupFailure."""
        answer = await self._lookups.ask(f"_mta-sts.{domain}", "TXT")
        return policy_id(
            b"".join(record.strings).decode("ascii", "replace")
            for record in answer.records
            if isinstance(record, TXT)
        )

    async def fetch(self, domain: str) -> StsPolicy:
        """The policy that the domain's host serves. Raises FetchFault, PolicyFault."""
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                body = await self._body(domain)
        except TimeoutError as fault:
            raise FetchFault(f"no answer within {FETCH_SECONDS:.0f} s") from fault
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            raise FetchFault(f"{type(fault).__name__}: {fault}") from fault
        try:
            return parse_policy(body.decode("utf-8"))
        except UnicodeDecodeError as fault:
            raise PolicyFault("the policy is not UTF-8") from fault

    async def _body(self, domain: str) -> bytes:
        connector = aiohttp.TCPConnector(ssl=self._trust(), resolver=_HostResolver(self._lookups))
        # trust_env: a gateway that reaches the web through a proxy only says so in HTTPS_PROXY.
        # Nothing is decompressed: a few octets could become many.
        async with (
            aiohttp.ClientSession(
                connector=connector, trust_env=True, auto_decompress=False
            ) as session,
            session.get(
                f"https://mta-sts.{domain}:{self._port}/.well-known/mta-sts.txt",
                allow_redirects=False,
                headers={"User-Agent": "tlsgate", "Accept-Encoding": "identity"},
            ) as response,
        ):
            if response.status != 200:
                raise FetchFault(f"the policy host answered {response.status}, not 200")
            if not is_plaintext(response.headers.get("Content-Type", "")):
                raise FetchFault("the policy's media type is not text/plain")
            body = bytearray()
            async for chunk in response.content.iter_chunked(4096):
                body += chunk
                if len(body) > BODY_LIMIT:
                    raise FetchFault(f"the policy is longer than {BODY_LIMIT} octets")
        return bytes(body)


class _HostResolver(AbstractResolver):
    """The policy host's addresses, asked where everything else is asked."""

    def __init__(self, lookups: DnsLookups) -> None:
        self._lookups = lookups

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002  # the base class's
    ) -> list[ResolveResult]:
        """IPv4 first, then IPv6; one of the two is enough. Raises OSError without any."""
        kinds = {"A": socket.AF_INET, "AAAA": socket.AF_INET6}
        answers = await asyncio.gather(
            *(self._lookups.ask(host, rdtype) for rdtype in kinds), return_exceptions=True
        )
        found = [
            ResolveResult(
                hostname=host,
                host=record.to_text(),
                port=port,
                family=kind,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for answer, kind in zip(answers, kinds.values(), strict=True)
            if isinstance(answer, Answer)
            for record in answer.records
        ]
        if not found:
            # With a number, for of an OSError without one aiohttp does not pass the text on.
            raise OSError(errno.EHOSTUNREACH, _why(host, answers))
        return found

    async def close(self) -> None:
        """Nothing is held open."""


def _why(host: str, answers: Sequence[Answer | BaseException]) -> str:
    failures = [str(answer) for answer in answers if isinstance(answer, LookupFailure)]
    return f"look-up failed: {failures[0]}" if failures else f"{host} has no address"
