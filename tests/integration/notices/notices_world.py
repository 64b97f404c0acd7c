"""One gateway whose notices pass the milter, both as the stack runs them.

| domain           | who                | its server                                           |
| ---------------- | ------------------ | ---------------------------------------------------- |
| corp.example     | own                | the internal server                                  |
| one.example      | enforced partner   | refuses `nosuch…`, defers `later…`                   |
| watched.example  | observed partner   | the same                                             |
| free.example     | nobody             | the same                                             |
| safe.example     | nobody             | has a certificate for its own name                   |
| loose.example    | nobody             | has a certificate that nobody trusts                 |
"""

from __future__ import annotations

import email
import re
import uuid
from email.message import Message
from typing import Any

from docker.models.containers import Container

from tests.integration.postfix.pki import key_pem
from tests.integration.postfix.world import MODERN, World, partner, until
from tlsgate.partners.model import Mode
from tlsgate.render.postfix import render_postfix

HEALTH = ["python3", "-m", "tlsgate.notices", "health"]
DATE = "Fri, 27 Nov 2026 10:00:00 +0100"
PARTNERS = (partner("one"), partner("watched", mode=Mode.OBSERVE))
SENDERS = tuple(f"{name}.example" for name in ("safe", "loose", "one", "watched"))
"""Domains of others: there is a forwarder in the internal networks."""
SERVERS = {"internal": (), "partners": ("one", "watched"), "free": ("free",), "safe": ("safe",)}


class NoticesWorld(World):
    """Like World; `notice` finds the notice about a message."""

    def start(self, milter_image: str) -> None:
        """Starts everything."""
        for name, owners in SERVERS.items():
            domains = [f"{owner}.example" for owner in owners] or ["internal.example"]
            self.add_peer(name, MODERN, domains, self.server_pem([f"mx.{domains[0]}"]))
        strange = self.stranger.issue(["mx.loose.example"], key=self.stranger_key)
        self.add_peer("loose", MODERN, ["loose.example"], key_pem(self.stranger_key) + strange)
        self.add_names({}, {})
        self.deliver_files(self.files())
        key = self.stranger_key
        self.put_certificate("1", key, self.authority.issue(["mx1.corp.example"], key=key))
        self.start_milter(milter_image)
        until(self.milter_healthy, what="a healthy milter")
        self.start_gateway()
        # The watcher's first reload would defer mail in delivery for a minute.
        until(lambda: "reload -- version" in self.log(), what="the first reload")

    def files(self) -> dict[str, str]:
        """The files of the generation."""
        settings = self.settings(
            delay_warning="1s",
            message_size=4_000_000,
            recipients="any",
            internal_senders=SENDERS,
            postmaster="roles@safe.example",
        )
        return render_postfix(settings, PARTNERS)

    def start_milter(self, image: str, name: str = "notices", config: str = "config") -> Container:
        """The container as the stack runs it."""
        self._milter_image = image
        container = self._create(
            name,
            None,
            image=image,
            read_only=True,
            tmpfs={"/tmp": ""},  # noqa: S108
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            mem_limit="128m",
            volumes={self.volumes[config]: {"bind": "/config", "mode": "ro"}},
        )
        container.start()
        return container

    def start_milter_without_list(self) -> Container:
        """Another one, on an empty volume."""
        return self.start_milter(self._milter_image, "notices-without-list", "state")

    def milter_healthy(self) -> bool:
        """The milter's own health check."""
        return self.containers["notices"].exec_run(HEALTH).exit_code == 0

    def health_said(self, container: Container) -> str:
        """The health check's message about a milter that answers, but is not healthy."""
        code, output = container.exec_run(HEALTH)
        text = output.decode() if isinstance(output, bytes) else ""
        return text if code and "does not answer" not in text else ""

    def logged(self, pattern: str, program: str) -> list[str]:
        """The lines of a program in the gateway's log that match the pattern."""
        lines = [line for line in self.log().splitlines() if f" {program}[" in line]
        return [line for line in lines if re.search(pattern, line)]

    def submit(
        self, sender: str, recipient: str, *, octets: int = 1, headers: str = "", **dsn: str
    ) -> str:
        """Send a message through the internal listener; return its Message-ID.

        `octets`: of the body, about. `dsn`: `ret`, `notify` (RFC 3461).
        """
        identifier = f"<{uuid.uuid4().hex}@id.example>"
        body = f"secret-body {'x' * 60}\r\n" * (octets // 74) or "x"
        with self.session(2525) as session:
            session.sendmail(
                sender,
                [recipient],
                f"Message-ID: {identifier}\r\nDate: {DATE}\r\nSubject: secret-subject\r\n"
                f"X-Secret: secret-header\r\n{headers}\r\n{body}",
                [f"RET={dsn['ret']}"] if "ret" in dsn else [],
                [f"NOTIFY={dsn['notify']}"] if "notify" in dsn else [],
            )
        return identifier

    def notices(self, server: str, identifier: str) -> list[tuple[dict[str, Any], Message]]:
        """What a server received about a message: how, and the notice."""
        return [
            (mail, email.message_from_string(mail["body"]))
            for mail in self.received(server)
            if identifier in mail["body"] and "multipart/report" in mail["body"]
        ]

    def notice(self, server: str, identifier: str) -> tuple[dict[str, Any], Message]:
        """The first one."""
        return until(lambda: self.notices(server, identifier), what=f"a notice to {server}")[0]
