"""Measurements over sockets: a server and each client in a process of its own."""
