-- Replaces a value if it has not changed (compare and set); its time to live stays the same.
--   KEYS  the key
--   ARGV  the expected value, the new value
-- The reply is 1 if the value was replaced, else 0.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 1
