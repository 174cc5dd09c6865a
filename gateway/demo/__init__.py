"""`gateway demo`: a gateway, a store and a sample app on one machine."""
