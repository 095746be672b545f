"""Whether a system answers the same divided: its tests, recorded in one placement after the other and compared."""
