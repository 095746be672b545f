"""The truth about hotels and rooms, and who holds them."""
