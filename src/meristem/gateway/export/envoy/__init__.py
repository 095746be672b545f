"""A `[gateway]` table as one static configuration of Envoy."""
