-- Ends a session.
--   KEYS  the session
-- The reply is 1, or 0 where it had ended before.

return redis.call('DEL', KEYS[1])
