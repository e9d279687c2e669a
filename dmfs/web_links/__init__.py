"""Links of web pages, and ids of the service. Pure."""
