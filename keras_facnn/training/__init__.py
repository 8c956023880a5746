"""Losses and deep alignment."""
