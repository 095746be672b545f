"""The shop without recommendations and pages, which no order needs: it starts in half the time."""

from __future__ import annotations

from bookshop.monitoring import monitor
from bookshop.system import SHOP, STAND_INS, authenticate

from meristem import System

system = System("bookshop", services=SHOP, apps=STAND_INS, authenticate=authenticate, middleware=[monitor])
