"""Designs as files: jobs of the service, and what came of them."""
