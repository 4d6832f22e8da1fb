"""Kinds of objects, found by their SOP class: the pictures of each, and how they are composed."""
