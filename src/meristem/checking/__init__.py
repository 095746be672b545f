"""Whether a system can be divided: what its services reach of one another by other ways than their contracts."""
