"""The record of what was sold."""
