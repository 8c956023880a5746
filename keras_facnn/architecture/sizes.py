"""The limits on the size of a model.

They are far above the sizes at which models train or explain well. Building a
larger model could take all memory, or hours, before the framework raises an
error.
"""

MAX_LAYERS = 1_000
MAX_PARAMETERS = 2**28
MAX_IMAGE_SIDE = 2**14
MAX_BACKBONE_LAYERS = 2_000
MAX_BACKBONE_PARAMETERS = 2**30
