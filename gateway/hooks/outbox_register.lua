-- Registers an outbox of one person before it is written, so that what it will hold is found,
-- whatever becomes of the gateway that writes it.
--   KEYS  the registrations, a sorted set by when they were made (Unix time in milliseconds); the
--         stream of all, which is in the same slot
--   ARGV  how many events there may be, and the registration
-- The reply is 1, or 0 where there is no room.

local outboxes, stream = KEYS[1], KEYS[2]
if redis.call('ZCARD', outboxes) + redis.call('XLEN', stream) >= tonumber(ARGV[1]) then
  return 0
end
local time = redis.call('TIME')
redis.call('ZADD', outboxes, time[1] * 1000 + math.floor(time[2] / 1000), ARGV[2])
return 1
