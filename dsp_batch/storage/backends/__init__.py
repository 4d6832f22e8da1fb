"""One file for each scheme that objects are read from or written to."""
