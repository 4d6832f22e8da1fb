"""The HTTP side of the viewer: what listens, who may ask, and what each route answers."""
