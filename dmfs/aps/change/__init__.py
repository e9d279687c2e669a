"""Calls that change something: what is posted, and what the answers say."""
