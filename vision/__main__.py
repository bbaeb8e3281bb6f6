"""`python -m brightspark.vision`: the same as `brightspark vision`."""

import sys

from brightspark.core.cli import main

sys.argv.insert(1, "vision")
main()
