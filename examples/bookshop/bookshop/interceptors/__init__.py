"""What `bookshop.monitoring` does for services, for programs that have grpcio and nothing else."""
