-- Times are Unix times in milliseconds.
--
-- Notes on an issuer's list when a session was seen last. One that is not on it is not put there.
--   KEYS  the list
--   ARGV  the session, the time
-- The reply is 1 where it is on the list.

local entry = redis.call('HGET', KEYS[1], ARGV[1])
local ends, rest = string.match(entry or '', '^(%d+) %d+() ')
if not ends then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ends .. ' ' .. ARGV[2] .. string.sub(entry, rest))
return 1
