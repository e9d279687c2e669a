"""Signing in: tokens, where they are stored, who refreshes them."""
