"""The vocabulary of the package: what stages hand to each other, refusals, ports."""
