"""Routes about designs: formats, jobs and downloads."""
