-- Drops dead letters. KEYS: see dead_letters.py.
--   ARGV  their places
-- The reply is how many were there: a letter that was replaced since has another place.

local letters, places, counters = KEYS[1], KEYS[2], KEYS[3]
local dropped = 0
for _, place in ipairs(ARGV) do
  local entry = redis.call('XRANGE', letters, place, place)[1]
  if entry then
    local fields, found = entry[2], {endpoint = '', id = ''}
    for i = 1, #fields, 2 do
      found[fields[i]] = fields[i + 1]
    end
    redis.call('XDEL', letters, place)
    local name = found.endpoint .. '\0' .. found.id
    if redis.call('HGET', places, name) == place then  -- else others wrote it
      redis.call('HDEL', places, name)
      redis.call('HINCRBY', counters, 'kept ' .. found.endpoint, -1)
    end
    dropped = dropped + 1
  end
end
return dropped
