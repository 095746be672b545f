"""Finding a room, by a read model that follows the events of rooms."""
