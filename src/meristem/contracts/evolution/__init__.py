"""How contracts change: what they were and are, as data, and whom a difference breaks."""
