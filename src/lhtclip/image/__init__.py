"""Read image files as normalised pixels, and place sliding windows on them."""
