"""Reading objects and writing the cache. The only home of obstore, fsspec and s3fs."""
