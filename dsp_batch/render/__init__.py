"""Make an image from an index: choose pictures, read frames, compose, draw."""
