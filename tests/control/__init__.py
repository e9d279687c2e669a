"""Tests of the control plane: the socket, who may ask, what it answers."""
