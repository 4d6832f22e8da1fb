"""Figures of objects without pixels: bytes and headers to solids, recordings, spectra and documents."""
