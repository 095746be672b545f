"""New projects: a system, a service of it, an app; each runs, and passes its tests and its linters, at once."""
