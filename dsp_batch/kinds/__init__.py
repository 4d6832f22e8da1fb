"""Kinds of objects: what a series holds to draw, found by its SOP class."""
