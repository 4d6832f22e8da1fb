"""Build the header index of a series, and keep it as Parquet."""
