"""Draw what objects say over the images that they speak of."""
