-- Adds to and removes from the set of all API keys.
--   KEYS  the set
--   ARGV  the id to add, or empty; then the ids to remove
-- The reply is the members of the set afterwards.

if ARGV[1] ~= '' then
  redis.call('SADD', KEYS[1], ARGV[1])
end
for gone = 2, #ARGV do
  redis.call('SREM', KEYS[1], ARGV[gone])
end
return redis.call('SMEMBERS', KEYS[1])
