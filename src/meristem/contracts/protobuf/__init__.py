"""Contracts as protobuf: what each type becomes there, field numbers that are kept, and values read and written."""
