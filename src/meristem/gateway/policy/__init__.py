"""Who may come in from the internet, how often, and where to."""
