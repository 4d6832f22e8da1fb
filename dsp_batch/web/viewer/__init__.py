"""The viewer: a server that shows series in a browser, from wherever they lie."""
