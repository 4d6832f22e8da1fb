"""Read header elements from bytes, and decode their values by keyword."""
