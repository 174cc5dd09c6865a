"""Who somebody is: credentials, DID tokens, and what Magic knows of their issuers."""
