"""The Connect protocol: its bodies, its errors and its streams."""
