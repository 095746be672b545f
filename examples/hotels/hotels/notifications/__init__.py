"""Letters to guests and hotels."""
