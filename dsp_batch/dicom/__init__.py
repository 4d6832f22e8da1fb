"""Bytes to headers and stored values. The only home of pydicom and the codecs."""
