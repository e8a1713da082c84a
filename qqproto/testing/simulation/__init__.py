"""A world in which everything that can go wrong does, from one seed, and a second opinion on what a bot does about it.

:func:`script_of` turns a seed into a :class:`Script`, which is data: a bot's form, a world's habits, and :class:`Fault`
after fault. :func:`simulate` lets a :class:`Bot` live through it, on a virtual clock, and watches it with a reference
model that shares no code with the machines; the :class:`Report` names the first promise that was broken, if any.
:func:`shrink` leaves out what a failure does not need. Pure: no clock, no I/O, no randomness but the seed's.
"""

from qqproto.testing.simulation.bot import Bot
from qqproto.testing.simulation.generate import script_of
from qqproto.testing.simulation.kinds import KINDS, Kind
from qqproto.testing.simulation.process import Process
from qqproto.testing.simulation.run import Report, Violation, shrink, simulate
from qqproto.testing.simulation.script import CALM, Fault, Script
from qqproto.testing.simulation.timeline import Timeline

__all__ = [
    "CALM",
    "KINDS",
    "Bot",
    "Fault",
    "Kind",
    "Process",
    "Report",
    "Script",
    "Timeline",
    "Violation",
    "script_of",
    "shrink",
    "simulate",
]
