"""The roots that servers on the web are verified against."""

from __future__ import annotations

import ssl


def trust_store(extra: str = "") -> ssl.SSLContext:
    """The system's roots and, in PEM, those that the organisation adds (TLS 1.2 and later)."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Python 3.13 refuses chains for lack of, say, an authority key identifier, which no browser
    # does. Here a refused chain means "no policy", so that strictness would open, not close.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if extra.strip():
        context.load_verify_locations(cadata=extra)
    return context
