"""What tests of systems need: a running system, fakes in one line, and time that moves when told."""
