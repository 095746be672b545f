"""Pictures that anybody may add to."""
