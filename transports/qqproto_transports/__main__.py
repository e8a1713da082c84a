"""`python -m qqproto_transports` is the command line."""

from qqproto_transports.cli import main

main()
