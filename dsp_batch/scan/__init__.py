"""Scans of folders: which objects make up each series, told by their headers and kept in the cache."""
