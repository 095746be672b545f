"""A system as data: its parts, their placement, the plan of both, and the folder that remembers it between runs."""
