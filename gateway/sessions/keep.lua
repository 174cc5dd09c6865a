-- Times are in milliseconds, and Unix times where they are points in time.
--
-- Puts off the end of a session that is used. One that is gone stays gone. What would double the
-- time that is left is always worth a write: the config may have another idle time than it had.
--   KEYS  the session
--   ARGV  how long it may be idle, its last possible end, the least change worth a write
-- The reply is 0 where that was written, else how long to wait until it will be worth it.

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
