-- Times are Unix times in milliseconds.
--
-- Adds a session to its issuer's list, and removes those that have expired.
--   KEYS  the list: a hash, by session, of "~<end> <last seen> <sealed>" with times in base 36, or
--         of "<end> <last seen> <sealed>" with times in base 10, as the previous version wrote it
--   ARGV  the session, its end in base 10, its entry in two parts: up to what is sealed, and that
-- The reply is how many sessions are on the list.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = tonumber(ARGV[2])
local entries = redis.call('HGETALL', KEYS[1])
for i = 1, #entries, 2 do
  local entry = entries[i + 1]
  local short = string.match(entry, '^~(%w+)')
  local ends = short and tonumber(short, 36) or tonumber(string.match(entry, '^%d+')) or 0
  if ends <= now then
    redis.call('HDEL', KEYS[1], entries[i])
  elseif ends > last then
    last = ends
  end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3] .. ARGV[4])
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', last))
return redis.call('HLEN', KEYS[1])
