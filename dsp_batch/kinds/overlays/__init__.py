"""Say what the objects of a kind draw over the images that they speak of."""
