"""The commands that act on what a running gateway keeps; one file for each group."""
