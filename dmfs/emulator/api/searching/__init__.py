"""The search of the Data service."""
