"""``python -m dmfs``: the same as the ``dmfs`` command."""

import sys

from dmfs.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
