"""Recommendation on Spark: ratings and items, splits, and what is learned from them.

from brightspark.core.session import session
from brightspark.recsys import interactions, read_ratings, stage_interactions, stratified_by_item

ratings = read_ratings(session(), "s3://bucket/ratings.parquet", user_col="customer", item_col="product")
train, test = stratified_by_item(interactions(ratings))
staged = stage_interactions(train, "s3://bucket/staged")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brightspark.core.lazy import lazily

if TYPE_CHECKING:
    from brightspark.recsys.feedback import InteractionCounts, count_interactions, interactions
    from brightspark.recsys.model import HybridRecommenderModel
    from brightspark.recsys.read import read_items, read_ratings
    from brightspark.recsys.recommender import HybridRecommender
    from brightspark.recsys.splits import (
        ColdUsers,
        Split,
        by_time,
        hold_out_items,
        hold_out_users,
        leave_last_out,
        random_by_user,
        stratified_by_item,
    )
    from brightspark.recsys.staged import StagedInteractions
    from brightspark.recsys.staging import stage_interactions

_HOMES = {
    "ColdUsers": "brightspark.recsys.splits",
    "HybridRecommender": "brightspark.recsys.recommender",
    "HybridRecommenderModel": "brightspark.recsys.model",
    "InteractionCounts": "brightspark.recsys.feedback",
    "Split": "brightspark.recsys.splits",
    "StagedInteractions": "brightspark.recsys.staged",
    "by_time": "brightspark.recsys.splits",
    "count_interactions": "brightspark.recsys.feedback",
    "hold_out_items": "brightspark.recsys.splits",
    "hold_out_users": "brightspark.recsys.splits",
    "interactions": "brightspark.recsys.feedback",
    "leave_last_out": "brightspark.recsys.splits",
    "random_by_user": "brightspark.recsys.splits",
    "read_items": "brightspark.recsys.read",
    "read_ratings": "brightspark.recsys.read",
    "stage_interactions": "brightspark.recsys.staging",
    "stratified_by_item": "brightspark.recsys.splits",
}

__all__ = [
    "ColdUsers",
    "HybridRecommender",
    "HybridRecommenderModel",
    "InteractionCounts",
    "Split",
    "StagedInteractions",
    "by_time",
    "count_interactions",
    "hold_out_items",
    "hold_out_users",
    "interactions",
    "leave_last_out",
    "random_by_user",
    "read_items",
    "read_ratings",
    "stage_interactions",
    "stratified_by_item",
]

__getattr__ = lazily(__name__, _HOMES)
