"""Telling the kernel to forget names, from a process that may hang there without harm."""
