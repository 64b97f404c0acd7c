"""Every file of a Postfix generation but the compiled maps (postconf(5), master(5), access(5))."""

from __future__ import annotations

from collections.abc import Sequence

from tlsgate.partners.model import Partner
from tlsgate.render.postfix_settings import PostfixSettings

__all__ = ["PostfixSettings", "render_postfix"]


def render_postfix(settings: PostfixSettings, partners: Sequence[Partner]) -> dict[str, str]:
    """File name → content. Raises ValueError, ProblemsError on what cannot be enforced."""
    raise NotImplementedError
