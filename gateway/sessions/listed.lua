-- Reads an issuer's list of sessions.
--   KEYS  the list
-- The reply is session, entry, session, entry and so on.

return redis.call('HGETALL', KEYS[1])
