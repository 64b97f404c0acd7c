"""What stops a step, with what the user can do about it."""

from __future__ import annotations


class SetupError(Exception):
    """A step cannot be done.

    `problem`: what is wrong; `remedy`: what to do then. Both are whole phrases for the user.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy


class UnreachableError(Exception):
    """A server did not answer in time, or was found not to a short while ago."""
