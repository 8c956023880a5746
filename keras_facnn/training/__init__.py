"""Training an FA-CNN: deep alignment and losses."""
