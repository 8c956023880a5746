"""Limit the size of the photos that the page accepts."""

# Photos of phones are smaller. Pixels are limited where pictures are read.
MAX_BYTES = 32 * 2**20
