"""From a confirmed generation to a version of the service."""
