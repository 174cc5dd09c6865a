"""`gateway selftest`: replays attacks against a config, with recorders in place of its apps."""
