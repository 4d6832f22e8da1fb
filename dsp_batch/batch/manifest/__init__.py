"""Manifests of any form, to one table of series."""
