"""Everything that the services of the hotel site may know of one another."""
