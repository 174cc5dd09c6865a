-- Moves events of one person into the stream of all, each once: one whose id is known is there.
--   KEYS  the stream; ids of events that were moved, a sorted set by when (Unix milliseconds)
--   ARGV  how long ids are known, in milliseconds, and for each event its id, how many events the
--         stream may hold for it, whether it is to wait for room ("1"), the event, and its endpoints
-- The reply is how many of the events are done with: one that finds no room and does not wait is
-- left out; one that waits ends the list.

local stream, known = KEYS[1], KEYS[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', known, '-inf', now - ARGV[1])
local held, done = redis.call('XLEN', stream), 0
for i = 2, #ARGV, 5 do
  local id, room, waits, event = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2], ARGV[i + 3]
  if not redis.call('ZSCORE', known, id) then
    if held < room then
      redis.call('ZADD', known, now, id)
      redis.call('XADD', stream, '*', 'event', event, 'endpoints', ARGV[i + 4])
      held = held + 1
    elseif waits == '1' then
      return done
    end
  end
  done = done + 1
end
return done
