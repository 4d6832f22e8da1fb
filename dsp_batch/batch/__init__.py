"""Many series: manifests, shards, the rolling window, results. The only home of Dask."""
