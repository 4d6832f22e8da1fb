"""Pages over what a batch leaves in its cache."""
