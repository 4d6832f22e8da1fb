"""Decode the bytes of frames to stored values, and read what a header says about displaying them."""
