"""Bytes to header elements, and these to values by keyword."""
