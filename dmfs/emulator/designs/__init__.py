"""Designs: what they could be had as, and the jobs that make it."""
