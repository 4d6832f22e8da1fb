"""Tables and documents made from indices."""
