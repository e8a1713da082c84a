"""Drivers: the I/O around the machines of `qqproto`."""
