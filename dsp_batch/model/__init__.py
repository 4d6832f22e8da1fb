"""The nouns that every room shares. Frozen values, small enough to travel between processes."""
