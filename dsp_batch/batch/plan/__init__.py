"""The work that a run is expected to take, and the plan that is shown before it."""
