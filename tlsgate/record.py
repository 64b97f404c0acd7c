"""What records in files are made of: structures whose fields msgspec checks strictly. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

Time = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its zone, as ISO 8601 writes it."""
Count = Annotated[int, msgspec.Meta(ge=0)]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A record; a field that it does not have is an error.

    A class below it says `frozen=True` again, for the type checker.
    """
