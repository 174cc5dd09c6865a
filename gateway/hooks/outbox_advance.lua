-- Moves the cursor of the outbox, unless another has done so, and trims what is older.
--   KEYS  the outbox, a stream; its cursor; the place of an earlier cursor, a hash
--   ARGV  the cursor as it was read; the new one; how many entries up to it to keep (at least
--         one), for others who read the stream; how many lie between the two cursors
-- The reply is 1, or 0 where the cursor had moved.

local outbox, cursor, earlier = KEYS[1], KEYS[2], KEYS[3]
if (redis.call('GET', cursor) or '') ~= ARGV[1] then
  return 0
end
redis.call('SET', cursor, ARGV[2])
local kept, many = tonumber(ARGV[3]), 200
if redis.call('XLEN', outbox) <= kept then
  return 1
end
local after = #redis.call('XRANGE', outbox, '(' .. ARGV[2], '+', 'COUNT', many)
if after < many then
  redis.call('XTRIM', outbox, 'MAXLEN', kept + after)
  return 1
end
-- How many follow is not known, and to count them, or those that are kept, would read them all. So
-- the place of an earlier cursor is noted, with how many lie behind it: once they are enough, what
-- is before it goes. Up to twice as many are kept.
if redis.call('HINCRBY', earlier, 'behind', ARGV[4]) >= kept then
  local place = redis.call('HGET', earlier, 'place')
  if place then
    redis.call('XTRIM', outbox, 'MINID', place)
  end
  redis.call('HSET', earlier, 'place', ARGV[2], 'behind', '0')
end
return 1
