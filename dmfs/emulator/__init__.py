"""A stand-in for Autodesk's Data Management service: two real HTTP origins on loopback.

Imports nothing from ``dmfs``: a misreading of the protocol must not cancel itself out. What it
does and does not promise: ``docs/emulator.md``. Start it with ``python -m dmfs_emulator``, or
from Python with :class:`dmfs.emulator.process.EmulatorProcess`.
"""
