"""What others would write, as the documentation of each recommends it."""
