"""Thousands of bookings through the split hotel site, two replicas of each service, while faults strike it."""
