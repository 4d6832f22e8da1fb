"""All of Dask: connecting, the tasks, the rolling window of shards, the health of workers, the dashboard."""
