-- Times are Unix times in milliseconds, by the server's clock.
--
-- Acquires a lock for a holder until a lease ends. KEYS: see lock.py.
--   ARGV  name, holder, the lease, how many locks may be held, and how long the counter is kept
-- The reply is 1, fence, end of the lease; or 0, with in how many milliseconds the lease of another
-- holder ends; or -1, with the same of the first lease to end, as no more locks may be held.
--
-- A fence is above each before it and not below the time, so that fences rise even where the
-- counter has ended, or a failover has lost it.

local held, ends, counter = KEYS[1], KEYS[2], KEYS[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local name, holder = ARGV[1], ARGV[2]
local lease, most, kept = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

local batch = redis.call('ZCARD', ends) >= most and -1 or 100
for _, ended in ipairs(redis.call('ZREVRANGEBYSCORE', ends, now, '-inf', 'LIMIT', 0, batch)) do
  redis.call('ZREM', ends, ended)
  redis.call('HDEL', held, ended)
end

local fence
local until_ms = tonumber(redis.call('ZSCORE', ends, name) or '0')
if until_ms > now then
  local found = redis.call('HGET', held, name)
  local space = string.find(found, ' ', 1, true)
  if string.sub(found, space + 1) ~= holder then
    return {0, 0, until_ms - now}
  end
  fence = tonumber(string.sub(found, 1, space - 1))
elseif redis.call('ZCARD', ends) >= most then
  local last = redis.call('ZCARD', ends) - 1  -- from the other end, the first to end
  local first = redis.call('ZREVRANGEBYSCORE', ends, '+inf', '-inf', 'WITHSCORES', 'LIMIT', last, 1)
  return {-1, 0, tonumber(first[2]) - now}
else
  fence = math.max(tonumber(redis.call('GET', counter) or '0') + 1, now)
  redis.call('SET', counter, string.format('%.0f', fence))
end
redis.call('HSET', held, name, string.format('%.0f', fence) .. ' ' .. holder)
redis.call('ZADD', ends, now + lease, name)
redis.call('PEXPIRE', held, lease + kept)
redis.call('PEXPIRE', ends, lease + kept)
redis.call('PEXPIRE', counter, lease + kept)
return {1, fence, now + lease}
