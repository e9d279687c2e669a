"""Where written bytes lie, and the journal that says what they are."""
