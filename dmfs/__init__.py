"""dmfs: Autodesk cloud storage as a Linux drive.

Reading order for a newcomer: model → tree → fuse (an ``ls`` is complete), then
plan → blocks → reader (a ``cat`` is complete), then aps. The floors and the rule that imports
only go one way are drawn in CONTRIBUTING.md and checked by tests/test_tidy.py.
"""

__version__ = "0.1.0"
