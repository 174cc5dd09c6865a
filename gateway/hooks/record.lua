-- Records events that no other state stands for.
--   KEYS  the outbox, a stream
--   ARGV  how many events it may hold; and for each event itself, and its endpoints
-- The reply is how many were recorded: the others found no room.

local outbox, room = KEYS[1], tonumber(ARGV[1])
local held = redis.call('XLEN', outbox)
for i = 2, #ARGV, 2 do
  if held >= room then
    return i / 2 - 1
  end
  redis.call('XADD', outbox, '*', 'event', ARGV[i], 'endpoints', ARGV[i + 1])
  held = held + 1
end
return (#ARGV - 1) / 2
