"""Sessions: their records, cookies and encryption, and their storage."""
