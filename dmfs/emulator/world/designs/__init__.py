"""Designs in a world."""
