"""The header index of a series: built from headers, kept as Parquet."""
