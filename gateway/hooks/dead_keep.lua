-- Keeps a dead letter. One that is there already is replaced. Above the bound the oldest goes, and
-- is counted. KEYS: see dead_letters.py.
--   ARGV  how many letters there may be; the endpoint, the id of the event, the event, how many
--         attempts were made, and what came of the last
-- The reply is how many letters had to go.

local letters, places, counters = KEYS[1], KEYS[2], KEYS[3]
local most, endpoint, id = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local time = redis.call('TIME')
local at = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local name = endpoint .. '\0' .. id
local before = redis.call('HGET', places, name)
if before then
  redis.call('XDEL', letters, before)
else
  redis.call('HINCRBY', counters, 'kept ' .. endpoint, 1)
end
redis.call('HSET', places, name, redis.call('XADD', letters, '*', 'event', ARGV[4],
  'endpoint', endpoint, 'id', id, 'attempts', ARGV[5], 'last', ARGV[6], 'at', at))

local gone = redis.call('XLEN', letters) - most
if gone <= 0 then
  return 0
end
for _, entry in ipairs(redis.call('XRANGE', letters, '-', '+', 'COUNT', gone)) do
  local fields, found = entry[2], {endpoint = '', id = ''}
  for i = 1, #fields, 2 do
    found[fields[i]] = fields[i + 1]
  end
  redis.call('XDEL', letters, entry[1])
  local gone_name = found.endpoint .. '\0' .. found.id
  if redis.call('HGET', places, gone_name) == entry[1] then  -- else others wrote it
    redis.call('HDEL', places, gone_name)
    redis.call('HINCRBY', counters, 'kept ' .. found.endpoint, -1)
    redis.call('HINCRBY', counters, 'trimmed ' .. found.endpoint, 1)
  end
end
return gone
