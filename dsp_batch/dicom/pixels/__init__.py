"""Bytes of frames to stored values, and what a header says about displaying them."""
