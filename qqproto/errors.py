"""The one exception the machines raise."""


class LocalProtocolError(Exception):
    """The host misused a machine: an id it never issued, an input in the wrong framing, a second start.

    What comes from the network never raises; it becomes events and actions. So this error always points at the host's
    own code, at the offending call, and the machine is as it was before that call.
    """
