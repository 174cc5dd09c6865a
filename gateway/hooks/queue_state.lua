-- Times are Unix times in milliseconds, by the server's clock.
--
-- Counts the deliveries of one endpoint, and looks at a part of them. KEYS: see queue.py.
--   ARGV  the member of the order after which to begin ("": with the first), and how many
-- The reply: the last member of this part ("" where there is none), how many deliveries wait, how
-- many subjects are due, and of the oldest delivery of this part its number and event ("" and "").

local due, order, events = KEYS[1], KEYS[2], KEYS[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local from = ARGV[1] == '' and '-' or '(' .. ARGV[1]
local last, oldest = '', ''
for _, member in ipairs(redis.call('ZRANGEBYLEX', order, from, '+', 'LIMIT', 0, ARGV[2])) do
  last = member
  local number = string.sub(member, -16)
  if oldest == '' or number < oldest then
    oldest = number
  end
end
return {
  last,
  tostring(redis.call('ZCARD', order)),
  tostring(redis.call('ZCOUNT', due, '-inf', now)),
  oldest,
  oldest ~= '' and redis.call('HGET', events, oldest) or ''
}
