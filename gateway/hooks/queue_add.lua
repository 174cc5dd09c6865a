-- Times are Unix times in milliseconds, by the server's clock.
--
-- Adds deliveries of one endpoint, each behind those of its subject. KEYS and ARGV: see queue.py.
--   ARGV  the most deliveries that may wait, for how long ids are known, "again" to add those that
--         are known (else ""), and for each delivery its subject, its event's id, and the event
-- The reply tells of each: 1 added, 0 known (it was added before), -1 no room.

local due, order, events, known, counters = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local max, kept, again = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] ~= ''
redis.call('ZREMRANGEBYSCORE', known, '-inf', now - kept)
local waiting, reply = redis.call('ZCARD', order), {}
for i = 4, #ARGV, 3 do
  local subject, id, event = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local told
  if not again and redis.call('ZSCORE', known, id) then
    told = 0
  elseif waiting >= max then
    told = -1
  else
    local number = string.format('%016d', redis.call('HINCRBY', counters, 'number', 1))
    redis.call('ZADD', known, now, id)
    redis.call('ZADD', order, 0, #subject .. ':' .. subject .. '\0' .. number)
    redis.call('HSET', events, number, event)
    redis.call('ZADD', due, 'NX', now, subject)
    waiting, told = waiting + 1, 1
  end
  reply[#reply + 1] = told
end
return reply
