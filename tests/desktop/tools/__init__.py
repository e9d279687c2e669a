"""Programs that people open documents with, on a mount and beside it in a plain directory: what
comes out, and what it cost. The programs and the documents are real; the service is the emulator.

Run at night; see docs/desktop.md for a table of what was measured.
"""
