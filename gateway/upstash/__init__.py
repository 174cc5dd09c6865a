"""`gateway upstash`: a local server that speaks Upstash's REST protocol, for development."""
