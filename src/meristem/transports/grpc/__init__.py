"""gRPC on grpcio: a server and a client of contracts. grpcio is loaded when a placement or an address names it."""
