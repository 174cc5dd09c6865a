"""HTTP/1.1 on the wire: parsing, framing, serialising."""
