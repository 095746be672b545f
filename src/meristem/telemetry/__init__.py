"""Metrics, traces and logs: facts about calls, for people and the tools they own."""
