"""Pictures of objects without pixels: solids, curves, spectra and pages below a headline."""
