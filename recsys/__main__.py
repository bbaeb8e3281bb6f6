"""`python -m brightspark.recsys`: the same as `brightspark recsys`."""

import sys

from brightspark.core.cli import main

sys.argv.insert(1, "recsys")
main()
