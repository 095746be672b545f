"""The server: one listener for RPC, REST and hosted apps."""
