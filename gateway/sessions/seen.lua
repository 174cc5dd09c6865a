-- Times are Unix times in milliseconds.
--
-- Records on an issuer's list when a session was last seen. A session that is not on it is not
-- added.
--   KEYS  the list
--   ARGV  the session, the time
-- The reply is 1 if the session is on the list, else 0.

local entry = redis.call('HGET', KEYS[1], ARGV[1])
local ends, rest = string.match(entry or '', '^(%d+) %d+() ')
if not ends then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ends .. ' ' .. ARGV[2] .. string.sub(entry, rest))
return 1
