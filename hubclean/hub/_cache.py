"""Keep decoded images, up to a number of bytes, in memory or in a file."""
