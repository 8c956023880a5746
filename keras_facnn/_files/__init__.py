"""Files and folders on disk: replace them safely, skip those of a system."""
