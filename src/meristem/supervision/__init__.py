"""Many processes of a system on one host: started, watched, renewed and ended."""
