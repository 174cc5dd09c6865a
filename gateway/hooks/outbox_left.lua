-- Lists registrations that are older than some time: who made them did not get as far as to move
-- what was written. Those that are older than a longer time are of writers that are gone.
--   KEYS  the registrations
--   ARGV  both ages in milliseconds, how many registrations to pass over, and how many at most
-- The reply has, for each, the registration, and "1" where its writer is gone, else "0".

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local reply = {}
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[1], 'WITHSCORES',
  'LIMIT', ARGV[3], ARGV[4])
for i = 1, #found, 2 do
  reply[#reply + 1] = found[i]
  reply[#reply + 1] = tonumber(found[i + 1]) <= now - ARGV[2] and '1' or '0'
end
return reply
