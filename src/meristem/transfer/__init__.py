"""Moves what services keep to another database system, and proves that it is all there."""
