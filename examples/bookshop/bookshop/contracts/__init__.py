"""What the services of the bookshop may know of one another."""
