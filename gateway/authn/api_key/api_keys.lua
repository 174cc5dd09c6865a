-- ARGV are ids of API keys.
--
-- KEYS[1] is the set of all of them. ARGV[1], where it is not empty, is put in; the others are
-- taken out. The reply is what is in it then.

if ARGV[1] ~= '' then
  redis.call('SADD', KEYS[1], ARGV[1])
end
for gone = 2, #ARGV do
  redis.call('SREM', KEYS[1], ARGV[gone])
end
return redis.call('SMEMBERS', KEYS[1])
