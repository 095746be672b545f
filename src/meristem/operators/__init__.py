"""The operators' side of a system: health in detail and the figures of all processes, at addresses of its own."""
