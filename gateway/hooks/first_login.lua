-- Notes how far the deliveries of a first sign-in are, in the marker of the person:
-- pending → running → done, or back to pending after a failure, or dead where all that is left was
-- given up.
--   KEYS  the marker, a hash
--   ARGV  the state; the event's id; the endpoint, the fence of its claim, who holds it, and for how
--         many milliseconds; then all endpoints that hear of first sign-ins
-- The reply is 1, or 0 with nothing changed: another has claimed the delivery since, or the endpoint
-- has taken the event, or the marker is of another event.

local marker, state, id, name, fence = KEYS[1], ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local known = redis.call('HGETALL', marker)
local has = {}
for i = 1, #known, 2 do
  has[known[i]] = known[i + 1]
end
if has.event ~= id or has.state == 'done' or has['ended:' .. name] then
  return 0
end
if fence < tonumber(has['fence:' .. name] or '0') then
  return 0
end
redis.call('HSET', marker, 'fence:' .. name, ARGV[4])
if has['dead:' .. name] then
  redis.call('HDEL', marker, 'dead:' .. name)
  has['dead:' .. name] = nil
end
if state == 'running' then
  local time = redis.call('TIME')
  local ends = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[6]
  redis.call('HSET', marker, 'state', state, 'owner', ARGV[5], 'until', string.format('%.0f', ends))
  return 1
end
redis.call('HDEL', marker, 'owner', 'until')
if state == 'pending' then
  redis.call('HSET', marker, 'state', state)
  return 1
end
local ended = (state == 'done' and 'ended:' or 'dead:') .. name
redis.call('HSET', marker, ended, '1')
has[ended] = '1'
local left
for i = 7, #ARGV do
  if not has['ended:' .. ARGV[i]] then
    left = (left == 'pending' or not has['dead:' .. ARGV[i]]) and 'pending' or 'dead'
  end
end
if left then
  redis.call('HSET', marker, 'state', left)
  return 1
end
redis.call('DEL', marker)
redis.call('HSET', marker, 'state', 'done', 'event', id)
return 1
