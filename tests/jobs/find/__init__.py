"""Tests of ``find``."""
