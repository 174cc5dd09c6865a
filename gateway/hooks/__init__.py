"""Events of people, and their delivery to the webhooks of other systems."""
