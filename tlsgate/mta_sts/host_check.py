"""Whether the policy host serves the MTA-STS policy, before its id is published (RFC 8461, 3.3).

`python3 -m tlsgate.mta_sts.host_check --address IP --from FOLDER`, run as a job. The folder
holds `policy.json`: {"policy": text, "domains": [...], "id": text} and, if roots are trusted
besides the system's, `extra-ca.pem`. Every domain's policy is fetched as a sender does, over HTTPS
with the certificate verified for `mta-sts.<domain>`, but from the address given: what the public
DNS says is not asked. Prints {"id": …, "domains": number} or says what is wrong with which domain.
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

WELL_KNOWN = "/.well-known/mta-sts.txt"
PORT = 443
TRY_SECONDS = 10.0
LIMIT = 65_536
AT_ONCE = 16

Fetch = Callable[[str], bytes]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 if every domain's policy is served."""
    parser = argparse.ArgumentParser(prog="tlsgate.mta_sts.host_check", description=__doc__)
    parser.add_argument("--address", required=True, help="the policy host's address")
    parser.add_argument("--from", dest="folder", type=Path, required=True)
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds to wait for it")
    options = parser.parse_args(arguments)
    wanted = json.loads((options.folder / "policy.json").read_text("utf-8"))
    context = trust(options.folder / "extra-ca.pem")
    faults = until_served(
        wanted["domains"],
        wanted["policy"].encode("ascii"),
        lambda name: fetch(options.address, name, context),
        options.timeout,
    )
    if faults:
        for fault in faults:
            print(fault, file=sys.stderr)
        print("The policy's id is not published. Fix this and run `up` again.", file=sys.stderr)
        return 1
    print(json.dumps({"id": wanted["id"], "domains": len(wanted["domains"])}))
    return 0


def until_served(
    domains: Sequence[str], policy: bytes, fetch_policy: Fetch, timeout: float
) -> list[str]:
    """What is wrong with each domain when the time (seconds) is over; empty as soon as all is well.

    The policy host takes new certificates up within seconds: a fault is asked for again.
    """
    deadline = time.monotonic() + timeout
    left = list(domains)
    while True:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            faults = list(pool.map(lambda domain: fault_of(domain, policy, fetch_policy), left))
        found = [(d, fault) for d, fault in zip(left, faults, strict=True) if fault]
        if not found or time.monotonic() > deadline:
            return [f"mta-sts.{domain}: {fault}" for domain, fault in found]
        left = [domain for domain, _ in found]
        time.sleep(1)


def fault_of(domain: str, policy: bytes, fetch_policy: Fetch) -> str | None:
    """What a sender would find wrong with the domain's policy; None if it is the one wanted."""
    try:
        served = fetch_policy(f"mta-sts.{domain}")
    except ssl.SSLCertVerificationError as fault:
        return f"the certificate is not accepted: {fault.verify_message}"
    except (OSError, http.client.HTTPException) as fault:
        return f"the policy cannot be fetched: {fault}"
    return None if served == policy else "another policy is served"


def fetch(address: str, name: str, context: ssl.SSLContext) -> bytes:
    """The policy that `address` serves for `name`. Raises OSError, HTTPException."""
    # Without the context given, every connection would read the system's roots again.
    connection = http.client.HTTPSConnection(name, PORT, timeout=TRY_SECONDS, context=context)
    plain = socket.create_connection((address, PORT), timeout=TRY_SECONDS)
    connection.sock = context.wrap_socket(plain, server_hostname=name)
    try:
        connection.request("GET", WELL_KNOWN)
        response = connection.getresponse()
        kind = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
        # RFC 8461, section 3.3: 200 alone is a policy, redirects are not followed.
        if response.status != 200 or kind != "text/plain":
            raise http.client.HTTPException(f"status {response.status}, media type {kind!r}")
        return response.read(LIMIT)
    finally:
        connection.close()


def trust(extra: Path) -> ssl.SSLContext:
    """The system's roots and, if the file is there, those in it."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if extra.exists():
        context.load_verify_locations(cadata=extra.read_text("ascii"))
    return context


if __name__ == "__main__":
    sys.exit(main())
