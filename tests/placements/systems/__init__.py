"""Systems that the tests of every placement run."""
