"""Online Books For You: a bookshop of services and a web app."""
