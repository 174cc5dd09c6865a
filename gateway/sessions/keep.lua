-- Times are in milliseconds, and Unix times where they are points in time.
--
-- Extends a session that is used. One that has ended stays ended. A change that doubles the time
-- left is always written: the config may have another idle time-out than before.
--   KEYS  the session
--   ARGV  the idle time-out, the latest possible end, the least change that is written
-- The reply is 0 if the end was written, else how long to wait until the change is large enough.

local left = redis.call('PTTL', KEYS[1])
local idle, step = tonumber(ARGV[1]), tonumber(ARGV[3])
if left < 0 then return step end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local wanted = math.min(idle, tonumber(ARGV[2]) - now)
local change, least = math.abs(wanted - left), math.min(step, left)
if change < least then return least - change end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', wanted))
return 0
