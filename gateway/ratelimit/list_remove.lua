-- Removes an entry from a list.
--   KEYS  the list: a sorted set
--   ARGV  the entry
-- The reply is 1; 0 if it was not on the list.

return redis.call('ZREM', KEYS[1], ARGV[1])
