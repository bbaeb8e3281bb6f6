"""Learns on Spark who may like what, measures it on what was held back, and recommends with reasons.

    python examples/recommendation.py [RATINGS] [ITEMS]

Without arguments: 100,004 ratings of films, fetched from the package registry; it takes two minutes on two cores.
RATINGS is a table with the columns user, item and, as they are there, rating and timestamp; ITEMS one with the column
item, whatever is known of items, and title or name. Products that were bought and news that were read are the same: a
table of events without ratings counts each as 1.
"""

import sys
from typing import Any

from pyspark.sql import functions as F

from brightspark import samples
from brightspark.core.ranking_metrics import ranking
from brightspark.core.session import session
from brightspark.core.tables import read_table
from brightspark.recsys import HybridRecommender, interactions, random_by_user, read_items, read_ratings

SHOWN_USERS, SHOWN = 3, 5
K = 10


def main() -> None:
    """Learns from four fifths of each user's ratings, measures lists for all, and shows a few."""
    folder = samples.movielens() if len(sys.argv) < 2 else None
    spark = session("recommendation")
    path = sys.argv[1] if folder is None else str(folder / "ratings.parquet")
    rating = "rating" if "rating" in read_table(spark, path).columns else None
    items = None
    if folder is not None or len(sys.argv) > 2:
        items = read_items(spark, sys.argv[2] if folder is None else str(folder / "items.parquet"))

    train, test = (side.cache() for side in random_by_user(interactions(read_ratings(spark, path, rating_col=rating))))
    name = next((name for name in ("title", "name") if items is not None and name in items.columns), None)
    model: Any = HybridRecommender(items=items, name_col=name, crossfits=1).fit(train)

    # Cached, since two things are done with the lists and each user is to be answered once.
    lists = model.recommend(model.known_users(spark), K).cache()
    print(ranking(lists, test, train=train, k=K))

    users = lists.select("user").distinct().orderBy(F.xxhash64("user")).limit(SHOWN_USERS)
    shown = lists.join(users, "user").filter(F.col("rank") <= SHOWN).orderBy("user", "rank")
    shown.select("user", "rank", "item", "score", "reason").show(SHOWN_USERS * SHOWN, truncate=60)


if __name__ == "__main__":
    main()
