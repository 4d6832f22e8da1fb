"""Pure functions on numpy arrays: order, selection, windows, tiles. No input or output."""
