"""Commands about headers and caches, a file for each subject."""
