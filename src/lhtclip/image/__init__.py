"""Image files to normalised pixels, and where sliding windows lie."""
