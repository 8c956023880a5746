"""Run the command line: `python -m keras_facnn`."""

import sys

from keras_facnn.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
