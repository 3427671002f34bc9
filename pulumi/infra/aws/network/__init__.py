"""The network, who may connect to whom, and the way in."""
