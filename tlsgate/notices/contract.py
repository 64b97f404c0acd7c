"""What the milter and Postfix's configuration (tlsgate.render.notices) must agree on."""

from __future__ import annotations

PORT = 10041
HEADER = "X-Tlsgate-Notice"
PROTECTED = "protected"
"""The header that the milter adds to what needs verified TLS, and its value."""
