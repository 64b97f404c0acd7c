"""The base of records that are saved in files: msgspec checks their fields strictly. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

Time = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its time zone, in the format of ISO 8601."""
Count = Annotated[int, msgspec.Meta(ge=0)]
"""A number of things: 0 or more."""


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A record; an unknown field is an error.

    Subclasses repeat `frozen=True`, for the type checker.
    """
