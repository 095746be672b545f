"""Pages that a server renders: who looks at them, what they may send, and how they are written."""
