"""What is told to customers by mail."""
