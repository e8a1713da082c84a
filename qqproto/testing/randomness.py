"""Numbers that look random and come from a seed."""

from __future__ import annotations

_MASK = (1 << 64) - 1


class Randomness:
    """A ``random`` argument for the machines: floats in [0, 1), the same ones for the same seed, on every platform.

    It is splitmix64 (Steele, Lea, Flood 2014): good enough for jitter and for scripts of faults, not for secrets.

    >>> random = Randomness(1)
    >>> 0.0 <= random() < 1.0
    True
    >>> Randomness(1)() == Randomness(1)()
    True
    """

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def __call__(self) -> float:
        """The next float in [0, 1)."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return ((z ^ (z >> 31)) >> 11) / (1 << 53)
