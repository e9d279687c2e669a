"""Parts of an upload on their way to the storage."""
