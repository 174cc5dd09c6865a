-- Reads a session by a command that counts as a write: a server that may lag behind runs none.
--   KEYS  the session
-- The reply is its record, or false where there is none.

return redis.call('GETEX', KEYS[1])
