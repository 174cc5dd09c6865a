"""The stages that a request passes before it is forwarded. Start with `request`."""
