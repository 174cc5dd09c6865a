-- Times are Unix times in milliseconds, by the server's clock.
--
-- Ends a claim: takes the delivery away, or leaves it for later. KEYS and ARGV: see queue.py.
--   ARGV  subject, fence, number, and what is noted of the attempts of a delivery that is left ("":
--         it is taken away), and after how many milliseconds it is due again
-- The reply is 1; 0, with nothing changed, where another has claimed the subject since.

local due, order, events, fences, attempts = KEYS[1], KEYS[2], KEYS[3], KEYS[6], KEYS[7]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local subject, fence, number, noted = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('HGET', fences, subject) ~= fence then
  return 0
end
redis.call('HDEL', fences, subject)
if noted ~= '' then
  redis.call('HSET', attempts, number, noted)
  redis.call('ZADD', due, now + ARGV[5], subject)
  return 1
end
local place = #subject .. ':' .. subject
redis.call('ZREM', order, place .. '\0' .. number)
redis.call('HDEL', events, number)
redis.call('HDEL', attempts, number)
if redis.call('ZLEXCOUNT', order, '[' .. place .. '\0', '(' .. place .. '\1') > 0 then
  redis.call('ZADD', due, now, subject)
else
  redis.call('ZREM', due, subject)
end
return 1
