"""libcurl: its multi interface, an engine for GET, and a thread that drives transfers."""
