"""Compute explanations from a graph of FA layers."""
