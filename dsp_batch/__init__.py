"""A preview and a header index for every DICOM series."""
