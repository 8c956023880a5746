"""What an FA-CNN is: its record, graph, backbones and sizes."""
