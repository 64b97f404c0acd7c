"""What stops a step, with what the user can do about it."""

from __future__ import annotations


class SetupError(Exception):
    """A step cannot be done.

    `problem`: what is wrong; `remedy`: what to do then, both one line; `details`: a log's end.
    """

    def __init__(self, problem: str, remedy: str, details: tuple[str, ...] = ()) -> None:
        super().__init__("\n".join((problem, *details)))
        self.problem = problem
        self.remedy = remedy
        self.details = details


class UnreachableError(Exception):
    """A server did not answer in time, or was found not to a short while ago."""
