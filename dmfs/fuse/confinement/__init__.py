"""Why fusermount3, by which ordinary users mount, does not: a policy, and its own words."""
