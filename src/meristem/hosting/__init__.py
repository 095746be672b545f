"""Applications and programs that were not written for Meristem, run unmodified."""
