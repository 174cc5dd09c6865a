"""The command line: `gateway …`, a file a command."""
