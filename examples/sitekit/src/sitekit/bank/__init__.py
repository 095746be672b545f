"""Cards, and the bank that charges them."""
