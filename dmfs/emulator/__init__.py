"""A stand-in for Autodesk's Data Management service: two real HTTP origins on loopback.

Imports nothing of the rest of ``dmfs``: a misreading of the protocol must not cancel itself out.
``docs/emulator.md`` says what it promises. Start it with ``python -m dmfs.emulator``, or from
Python with :class:`dmfs.emulator.process.EmulatorProcess`.
"""
