-- Times are Unix times in milliseconds.
--
-- Adds an entry to a list, and removes those that have ended.
--   KEYS  the list: a sorted set of entries, by their end
--   ARGV  the entry, for how long it stays (0: for ever), how many entries a list may have
-- The reply is 1; 0 if the list is full.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
local is_new = not redis.call('ZSCORE', KEYS[1], ARGV[1])
if is_new and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then
  return 0
end
local stays = tonumber(ARGV[2])
redis.call('ZADD', KEYS[1], stays == 0 and '+inf' or string.format('%.0f', now + stays), ARGV[1])
return 1
