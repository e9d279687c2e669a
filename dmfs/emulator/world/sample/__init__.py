"""The sample world, by the quirks that its parts show."""
