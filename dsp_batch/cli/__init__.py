"""The two console scripts. The only home of click."""
