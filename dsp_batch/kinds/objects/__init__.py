"""Kinds of objects without pixels: each file turns what an object says into a card."""
