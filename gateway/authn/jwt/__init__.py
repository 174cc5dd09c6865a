"""JWTs of trusted issuers: their form, the issuers' key sets, their verifier."""
