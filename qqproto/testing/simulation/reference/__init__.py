"""A second opinion: what the promises demand, worked out from the wire, the requests, the dials and the events.

Nothing in here imports a machine or a table of theirs. The numbers are read out of the policy, the codes are written
down again from the platform's pages, the arithmetic is its own.
"""

from qqproto.testing.simulation.reference.deliveries import Known
from qqproto.testing.simulation.reference.ledger import Ledger
from qqproto.testing.simulation.reference.observer import Observer
from qqproto.testing.simulation.reference.shard import Saved
from qqproto.testing.simulation.reference.verdict import Broken

__all__ = ["Broken", "Known", "Ledger", "Observer", "Saved"]
