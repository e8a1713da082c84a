"""What the observers say when a promise is broken."""

from __future__ import annotations


class Broken(Exception):
    """A promise does not hold. ``promise`` is its name (G1 to G10; "contract" for that of the machines), ``what`` one
    sentence."""

    def __init__(self, promise: str, what: str) -> None:
        super().__init__(f"{promise}: {what}")
        self.promise = promise
        self.what = what


def demand(holds: bool, promise: str, what: str) -> None:
    """Raise :class:`Broken` unless it holds."""
    if not holds:
        raise Broken(promise, what)
