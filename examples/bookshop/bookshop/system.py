"""The bookshop as one system."""

from __future__ import annotations

from meristem import System

SERVICES = [  # each is imported in the process in which it lives, and in no other
    "bookshop.recommendations.service:RecommendationsService",
]

system = System("bookshop", services=SERVICES)
