-- Times are Unix times in milliseconds, by the server's clock.
--
-- Renews or releases a lock for the holder of its fence. KEYS: see lock.py.
--   ARGV  name, what is held (fence, space, holder), the lease from now on (0: it is released), and
--         how long the counter is kept
-- The reply is the end of the lease, or of a released lock the time; 0, with nothing changed, where
-- the lease has ended or another has the lock.

local held, ends, counter = KEYS[1], KEYS[2], KEYS[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local name, lease, kept = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4])

if redis.call('HGET', held, name) ~= ARGV[2] then
  return 0
end
if tonumber(redis.call('ZSCORE', ends, name) or '0') <= now then
  return 0
end
if lease == 0 then
  redis.call('HDEL', held, name)
  redis.call('ZREM', ends, name)
else
  redis.call('ZADD', ends, now + lease, name)
end
for _, key in ipairs({held, ends, counter}) do
  redis.call('PEXPIRE', key, lease + kept)
end
return now + lease
