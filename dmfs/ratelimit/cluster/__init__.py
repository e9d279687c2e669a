"""One quota for many machines: a log of calls at a coordinator, and what is done without it."""
