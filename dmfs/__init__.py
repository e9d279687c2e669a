"""dmfs: Autodesk cloud storage as a Linux drive.

Reading order for a newcomer: model → namespace/listings → fuse/operations (an ``ls`` is complete),
then blocks/readahead → blocks/cache → fetch/object_client (a ``cat`` is complete), then aps/client.
CONTRIBUTING.md draws the packages; tests/test_tidy.py checks that imports go one way.
"""

__version__ = "0.1.0"
