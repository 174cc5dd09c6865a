-- Times are in milliseconds, counts in leases.
--
-- Ends, renews and takes leases of one caller in one step, with the arithmetic of
-- concurrency.grant. A lease that was renewed in time counts until it is ended; another ends by
-- itself. One that ended while its holder was stopped counts again once it is renewed.
--   KEYS  the leases: a sorted set of their ids, by the time at which each ends
--   ARGV  the most leases at a time, length of a lease, number of leases to end, of those to renew;
--         then the ids of those to end, of those to renew, and of those to take, in order of arrival
-- The reply has three numbers: the server's time, how many of those to take were granted (the
-- first ones), and the number of leases that are held (with them).

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local key, most, length = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local renewed = 5 + tonumber(ARGV[3])
local taken = renewed + tonumber(ARGV[4])
local ends = string.format('%d', now + length)

redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%d', now))
for i = 5, renewed - 1 do redis.call('ZREM', key, ARGV[i]) end
for i = renewed, taken - 1 do redis.call('ZADD', key, ends, ARGV[i]) end
local held = redis.call('ZCARD', key)
local granted = math.max(0, math.min(#ARGV - taken + 1, most - held))
for i = taken, taken + granted - 1 do redis.call('ZADD', key, ends, ARGV[i]) end
if taken > renewed or granted > 0 then redis.call('PEXPIRE', key, length) end
return {now, granted, held + granted}
