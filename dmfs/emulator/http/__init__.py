"""HTTP as both origins speak it: messages, errors, limits and how an answer travels."""
