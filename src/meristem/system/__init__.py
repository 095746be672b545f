"""A system: its services, apps and programs, where they live, and how they come to life."""
