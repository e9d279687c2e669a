"""Calls that change names and folders on the service, and what may be done there."""
