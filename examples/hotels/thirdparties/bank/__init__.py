"""The bank's web service: card tokens, charges, refunds and the statement, idempotent by key."""
