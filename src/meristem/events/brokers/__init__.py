"""Buses over a broker: what leaves an outbox for it, and how a subscribing service takes in what arrives."""
