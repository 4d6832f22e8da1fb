"""Generate DICOM series for the demonstration, the tests and the documentation."""
