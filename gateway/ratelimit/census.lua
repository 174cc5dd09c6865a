-- Times are in milliseconds.
--
-- Counts the processes that charge limits, the one that asks included.
--   KEYS  a sorted set: a name for each process, by the time at which it asked last
--   ARGV  the name of the process that asks, and how long a process is kept that asks no more; 0
--         where this process asks no more
-- Replies whether the process was absent, and how many processes there are.

local time = redis.call('TIME')
if ARGV[2] == '0' then
  redis.call('ZREM', KEYS[1], ARGV[1])
  return {0, redis.call('ZCARD', KEYS[1])}
end
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%d', now - ARGV[2]))
local added = redis.call('ZADD', KEYS[1], string.format('%d', now), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {added, redis.call('ZCARD', KEYS[1])}
