-- Times are Unix times in milliseconds.
--
-- Records on an issuer's list when a session was last seen. A session that is not on it is not
-- added.
--   KEYS  the list; see enlist.lua
--   ARGV  the session, and what the previous version called it; the time in base 10 and in base 36
-- The reply is 1 if the session is on the list, else 0.

local entry = redis.call('HGET', KEYS[1], ARGV[1])
local ends, rest = string.match(entry or '', '^(~%w+) %w+() ')
if ends then
  redis.call('HSET', KEYS[1], ARGV[1], ends .. ' ' .. ARGV[4] .. string.sub(entry, rest))
  return 1
end
entry = redis.call('HGET', KEYS[1], ARGV[2])
ends, rest = string.match(entry or '', '^(%d+) %d+() ')
if not ends then return 0 end
redis.call('HSET', KEYS[1], ARGV[2], ends .. ' ' .. ARGV[3] .. string.sub(entry, rest))
return 1
