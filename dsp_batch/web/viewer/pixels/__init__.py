"""The pixels of the viewer: frames in memory, and the pictures and samples that are made from them."""
