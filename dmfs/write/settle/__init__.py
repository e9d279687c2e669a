"""What the names of a folder mean for the service, once a save is over. Pure."""
