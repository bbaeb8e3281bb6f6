"""`python -m brightspark.nlp`: the same as `brightspark nlp`."""

import sys

from brightspark.core.cli import main

sys.argv.insert(1, "nlp")
main()
