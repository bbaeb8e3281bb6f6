"""`python -m brightspark.speech`: the same as `brightspark speech`."""

import sys

from brightspark.core.cli import main

sys.argv.insert(1, "speech")
main()
