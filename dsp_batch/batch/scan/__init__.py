"""Scans of folders for a batch: which objects make up each series, kept in the cache."""
