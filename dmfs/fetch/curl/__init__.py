"""Transfers by libcurl, in a thread or a process of their own. No trio."""
