"""Bytes on the wire, as pure incremental machines."""
