"""Who is signed in: the session, its cookie, its seal, and its place in the store."""
