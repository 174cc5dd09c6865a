-- Removes sessions from their issuer's list.
--   KEYS  the list
--   ARGV  the sessions, a hundred or so at most, each by both of its names
-- The reply is how many of them were on it.

return redis.call('HDEL', KEYS[1], unpack(ARGV))
