-- Times are in milliseconds.
--
-- Counts the leases of a caller that have not ended, and changes nothing.
--   KEYS  the leases: a sorted set of their ids, by the time at which each ends
-- The reply is their number.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZCOUNT', KEYS[1], string.format('(%d', now), '+inf')
