"""Many series: manifests, runs, plans, shards, and the cluster that works on them."""
