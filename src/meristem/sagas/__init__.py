"""Sagas: plain functions whose steps are journaled, so that they end complete or undone whatever dies meanwhile."""
