"""The second door: the drive as a filesystem of fsspec, without a mount."""
