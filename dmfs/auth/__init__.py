"""Signing in: tokens, their store, their refresh."""
