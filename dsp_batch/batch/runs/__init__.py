"""What a run leaves in the cache: job, rows, summary, status; and how it is resumed from there."""
