"""What a request costs: the gateway beside a naive one, in one run on one machine."""
