-- Times are Unix times in milliseconds, by the server's clock.
--
-- Claims the next delivery of each of some subjects that are due, until a lease ends. A subject has
-- one claim at a time: a later claim has a higher fence. KEYS and ARGV: see queue.py.
--   ARGV  the lease in milliseconds, and how many to claim at most
-- The reply has, for each: subject, fence, number, event, attempts ("" before the first).

local due, order, events, counters, fences, attempts =
  KEYS[1], KEYS[2], KEYS[3], KEYS[5], KEYS[6], KEYS[7]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease, reply = tonumber(ARGV[1]), {}

-- Returns number and event of the first delivery of a subject. Those whose event was deleted are
-- taken away, some at a time.
local function first_of(place)
  for _ = 1, 100 do
    local first = redis.call('ZRANGEBYLEX', order, '[' .. place .. '\0', '(' .. place .. '\1',
      'LIMIT', 0, 1)[1]
    if not first then
      return nil
    end
    local number = string.sub(first, #place + 2)
    local event = redis.call('HGET', events, number)
    if event then
      return number, event
    end
    redis.call('ZREM', order, first)
    redis.call('HDEL', attempts, number)
  end
  return ''
end

for _, subject in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, ARGV[2])) do
  local number, event = first_of(#subject .. ':' .. subject)
  if event then
    local fence = redis.call('HINCRBY', counters, 'fence', 1)
    redis.call('HSET', fences, subject, fence)
    redis.call('ZADD', due, now + lease, subject)
    reply[#reply + 1] = subject
    reply[#reply + 1] = tostring(fence)
    reply[#reply + 1] = number
    reply[#reply + 1] = event
    reply[#reply + 1] = redis.call('HGET', attempts, number) or ''
  elseif not number then
    redis.call('ZREM', due, subject)
  end
end
return reply
