"""Limit what the page accepts as a photo."""

# Photos of phones are smaller. Pixels are limited where pictures are read.
MAX_BYTES = 32 * 2**20
