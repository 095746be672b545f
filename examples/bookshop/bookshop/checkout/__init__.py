"""From the cart to the order, and back."""
