"""Programs that measure: each peer beside us, in one run."""
