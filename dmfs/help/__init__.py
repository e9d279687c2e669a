"""Texts that ``dmfs help`` prints. Light to import: the parser of the command line lists TOPICS."""

TOPICS = {
    "config": "every setting: default, limits, environment variable, meaning",
    "semantics": "what the drive promises, and what not",
}
