"""Recommendations as a system of their own, and beside them a tutorial's shop of one page, which knows only gRPC."""

from __future__ import annotations

from bookshop.monitoring import monitor
from meristem import App, System

SERVICES = [
    "bookshop.catalogue.service:CatalogueService",
    "bookshop.recommendations.training:TrainingService",
    "bookshop.recommendations.service:RecommendationsService",
]

recommendations = System("recommendations", services=SERVICES, middleware=[monitor])
system = System(
    "tutorial",
    services=SERVICES,
    apps=[App("marketplace", "marketplace:app", mount="/", folder="marketplace")],
    middleware=[monitor],
)
