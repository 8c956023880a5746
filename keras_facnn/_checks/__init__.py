"""Validation of what users pass."""
