"""From an index to an encoded image: choose pictures, read frames, compose, draw."""
