"""``dmfs doctor``: what is wrong with this machine, this sign-in, this account."""
