-- Times are Unix times in milliseconds.
--
-- Adds an issuer to those of an email address, and removes those whose sessions have all expired.
--   KEYS  the issuers: a sorted set, by the latest end of a session
--   ARGV  the issuer, the end of its session, how many issuers are kept

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
local before = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '') or 0
if tonumber(ARGV[2]) > before then
  redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
end
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[3]))
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', tonumber(last[2])))
return 1
