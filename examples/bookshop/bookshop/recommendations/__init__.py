"""Which books a customer may like, by gRPC from a file that is not Meristem's."""
