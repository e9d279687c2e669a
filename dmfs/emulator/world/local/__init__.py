"""Files of this machine as files of the service."""
