"""Control calls by subject."""
