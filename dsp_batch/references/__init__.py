"""Find the series that an object speaks of, and load their indices."""
