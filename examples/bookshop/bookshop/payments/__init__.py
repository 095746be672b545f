"""Taking money through the bank, and giving it back."""
