"""The architecture of an FA-CNN: its record, graph, backbones and sizes."""
