"""``Drive``: everything that a door may ask of a signed-in drive."""

from dmfs.drive.drive import Drive
from dmfs.drive.parts import Parts
from dmfs.drive.stats import Stat

__all__ = ["Drive", "Parts", "Stat"]
