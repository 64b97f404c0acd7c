"""The small Internet of these tests. It runs inside the gateway's image, so: standard library only.

`peer.py mail` answers SMTP on port 25 as /peer/settings.json says and prints what it received;
`peer.py names` answers DNS on port 53, Postfix's socketmap on port 8461 and its policy delegation
on port 10040.
"""

from __future__ import annotations

import json
import os
import socket
import socketserver
import ssl
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any

SETTINGS: dict[str, Any] = json.loads(Path("/peer/settings.json").read_text())


class Mail(socketserver.StreamRequestHandler):
    """One SMTP session; `tls`: none, modern or old. Every session prints its number. `before`: a
    keyword that is only in the reply to the first EHLO, not in the one under TLS.

    The answer to a message for `slow…` takes two seconds; a recipient `nosuch…` is refused, and
    `later…` is deferred.
    """

    sessions = 0

    def handle(self) -> None:
        Mail.sessions += 1
        session, tls, mail = Mail.sessions, "", ""
        self.stream: Any = self.rfile
        self.say(SETTINGS.get("greeting", "220 peer ESMTP"))
        while line := self.stream.readline().decode("latin-1").strip():
            verb = line.upper().split(" ")[0]
            if verb == "EHLO":
                offer = SETTINGS["tls"] != "none" and not tls
                before = f"250-{SETTINGS['before']}\r\n" if offer and "before" in SETTINGS else ""
                last = "STARTTLS" if offer else "SIZE"
                self.say(f"250-peer\r\n{before}250-PIPELINING\r\n250 {last}")
            elif verb == "STARTTLS":
                self.say("220 go ahead")
                secure = context().wrap_socket(self.connection, server_side=True)
                self.connection, tls = secure, str(secure.version())
                self.stream = secure.makefile("rb")
            elif verb == "DATA":
                self.say("354 go ahead")
                body = b"".join(iter(self.stream.readline, b".\r\n")).decode("latin-1")
                stored = {"mail": mail, "tls": tls, "session": session, "body": body}
                # One write, so that lines of sessions at the same time do not mix.
                os.write(1, f"{json.dumps(stored)}\n".encode())
                if "<slow" in mail:
                    time.sleep(2)
                self.say("250 stored")
            elif verb == "QUIT":
                self.say("221 bye")
                return
            elif verb == "RCPT":
                mail = line
                self.say(answer_to(line))
            else:
                self.say("250 ok")

    def say(self, text: str) -> None:
        self.connection.sendall(f"{text}\r\n".encode())


def answer_to(recipient: str) -> str:
    """The answer to a RCPT command."""
    if "<nosuch" in recipient:
        return "550 5.1.1 nobody of that name"
    return "451 4.3.0 not now" if "<later" in recipient else "250 ok"


def context() -> ssl.SSLContext:
    """The TLS context for the settings."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if SETTINGS["tls"] == "old":
        made.minimum_version, made.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1
        made.set_ciphers("ALL:@SECLEVEL=0")
    made.load_cert_chain("/peer/server.pem")
    return made


class Names(socketserver.BaseRequestHandler):
    """A, MX and TLSA from `zone`; every answer has the AD bit."""

    def handle(self) -> None:
        query, answer_socket = self.request
        labels, position = [], 12
        while length := query[position]:
            labels.append(query[position + 1 : position + 1 + length].decode().lower())
            position += length + 1
        question = query[12 : position + 5]
        wanted = struct.unpack("!H", query[position + 1 : position + 3])[0]
        records = SETTINGS["zone"].get(".".join(labels))
        kind = {1: "A", 15: "MX", 52: "TLSA"}.get(wanted, "")
        values = (records or {}).get(kind, [])
        answers = b""
        for value in values:
            if kind == "A":
                data = socket.inet_aton(value)
            elif kind == "TLSA":
                data = bytes.fromhex(value)
            else:
                data = b"\0\x0a" + b"".join(
                    bytes([len(label)]) + label.encode() for label in value.split(".") if label
                )
                data += b"\0"
            answers += b"\xc0\x0c" + struct.pack("!HHIH", wanted, 1, 60, len(data)) + data
        flags = 0x81A0 if records is not None or not labels else 0x81A3
        header = query[:2] + struct.pack("!5H", flags, 1, len(values), 0, 0)
        answer_socket.sendto(header + question + answers, self.client_address)


class Policies(socketserver.StreamRequestHandler):
    """socketmap_table(5): answers like the policy helper, from the settings.

    `partners` is the map of the partners' rules, for a name or the nearest `.parent`; `policies` is
    what domains publish, name by name.
    """

    def handle(self) -> None:
        while length := self.netstring_length():
            table, _, key = self.rfile.read(length).decode().partition(" ")
            self.rfile.read(1)
            partners = table.startswith("partners-")
            policy = SETTINGS["partners" if partners else "policies"].get(key)
            while partners and policy is None and "." in key:
                key = key.lstrip(".").partition(".")[2]
                policy = SETTINGS["partners"].get(f".{key}")
            answer = f"OK {policy}" if policy else "NOTFOUND "
            self.wfile.write(f"{len(answer)}:{answer},".encode())

    def netstring_length(self) -> int:
        digits = b""
        while (octet := self.rfile.read(1)) not in {b":", b""}:
            digits += octet
        return int(digits or b"0")


class Identities(socketserver.StreamRequestHandler):
    """SMTPD_POLICY_README: DUNNO for the client key `pin` of the settings; down without one."""

    def handle(self) -> None:
        request: dict[str, str] = {}
        while line := self.rfile.readline().decode("latin-1"):
            name, equals, value = line.strip().partition("=")
            if equals:
                request[name] = value
                continue
            pin = json.loads(Path("/peer/settings.json").read_text()).get("pin")
            if pin is None:
                return
            shown = request["ccert_pubkey_fingerprint"].replace(":", "").lower()
            action = "DUNNO" if shown == pin else "450 4.7.1 not the registered key"
            self.wfile.write(f"action={action}\n\n".encode())


class TcpServer(socketserver.ThreadingTCPServer):
    """One thread for each connection."""

    allow_reuse_address = True
    daemon_threads = True


def main() -> None:
    """Serves until it is killed."""
    if sys.argv[1] == "mail":
        TcpServer(("", 25), Mail).serve_forever()
    for port, handler in ((8461, Policies), (10040, Identities)):
        server = TcpServer(("", port), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    socketserver.ThreadingUDPServer(("", 53), Names).serve_forever()


if __name__ == "__main__":
    main()
