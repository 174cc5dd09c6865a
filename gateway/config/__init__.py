"""Configuration: the schema is the reference; loading reports all problems together."""
