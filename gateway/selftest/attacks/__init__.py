"""The attacks of a selftest, a file a family: each is made from the config that it attacks."""
