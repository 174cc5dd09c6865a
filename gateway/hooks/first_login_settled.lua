-- Tells whether anything is to be waited for after a first sign-in.
--   KEYS  the marker of the person
--   ARGV  how long after the first sign-in it is waited for, and how long it counts as pending, both
--         in milliseconds; then the endpoints that are waited for
-- The reply is 1 where each of them has taken the event or has given it up, or there is none, or the
-- first sign-in was too long ago; 0 to wait; 2 where it is pending, and not waited for any more.

local known = redis.call('HGETALL', KEYS[1])
local has = {}
for i = 1, #known, 2 do
  has[known[i]] = known[i + 1]
end
if not has.state or has.state == 'done' then
  return 1
end
local is_open = false
for i = 3, #ARGV do
  is_open = is_open or not (has['ended:' .. ARGV[i]] or has['dead:' .. ARGV[i]])
end
local time = redis.call('TIME')
local age = time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(has.since or '0')
if not is_open or age > tonumber(ARGV[2]) then
  return 1
end
return age > tonumber(ARGV[1]) and 2 or 0
