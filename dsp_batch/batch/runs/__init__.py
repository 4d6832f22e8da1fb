"""The files of a run in the cache: job, manifest, rows, summary, status; and how a run is resumed from them."""
