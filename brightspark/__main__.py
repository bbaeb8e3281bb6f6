"""`python -m brightspark`: the same as the command `brightspark`."""

from brightspark.core.cli import main

main()
