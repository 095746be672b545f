"""The pages, grouped by what a guest is doing."""
