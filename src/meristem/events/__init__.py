"""Events: published inside a transaction, delivered until acknowledged, handled once."""
