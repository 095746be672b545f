"""Who calls: signed tokens of services and users."""
