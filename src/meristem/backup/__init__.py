"""Copies of all databases of a system, of one moment: taken, verified and put back."""
