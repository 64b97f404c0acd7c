"""The paths in a container that the rendered configuration and the watcher must both use.

The watcher (tlsgate.generation.watch) puts the active generation, the certificates and what it
knows of ended sessions below `RUN`; the files of tlsgate.render name these paths.
"""

from __future__ import annotations

RUN = "/run/tlsgate"
ACTIVE = f"{RUN}/active"
"""The symlink to the generation in force."""
TLS_DIRECTORY = f"{RUN}/tls"
"""`<certificate>.pem`: key and chain as the server reads them."""
SESSIONS = f"{RUN}/sessions"
HTTPS_INCLUDE = f"{RUN}/https.conf"
"""nginx's way to the certificates; absent until they are staged."""
