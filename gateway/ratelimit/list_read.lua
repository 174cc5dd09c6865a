-- Times are Unix times in milliseconds.
--
-- Reads the entries of a list that have not ended; those that end last, where there are too many.
--   KEYS  the list: a sorted set of entries, by their end
--   ARGV  how many entries are read at most
-- The reply is the server's time, and for each entry itself and its end: `inf` for none.

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local reply =
  redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', '(' .. now, 'WITHSCORES', 'LIMIT', 0, ARGV[1])
table.insert(reply, 1, now)
return reply
