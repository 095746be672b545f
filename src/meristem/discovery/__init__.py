"""Discovery: where the replicas of a service answer now, and when that changes."""
