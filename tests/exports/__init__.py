"""Designs as files."""
