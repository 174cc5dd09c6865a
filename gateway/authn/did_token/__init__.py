"""DID tokens of Magic: their form, their signature, their verifier."""
