"""A hotel booking site: seven services, a web interface, and third parties that know nothing of them."""
