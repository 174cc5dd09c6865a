-- Times are in milliseconds. A debt is what a bucket lacks of being full, in parts of a token: a
-- token has `length` of them, and a bucket regains `rate` of them in a millisecond.
--
-- Charges several callers in one step, with the arithmetic of token_bucket.debt_at and settle.
-- Charges of one limit follow each other. For each charge
--   KEYS  the bucket: its debt, a space, and the time of that
-- and for each limit
--   ARGV  rate, length of a window, capacity, number of charges, and for each of these the requests
--         asked for
-- The reply begins with the server's time. For each charge follow two numbers: how many requests
-- were allowed, and the debt (with them).

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local reply, charge, arg = {now}, 0, 1
while arg < #ARGV do
  local rate, length, capacity, charges =
    tonumber(ARGV[arg]), tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2]), tonumber(ARGV[arg + 3])
  for i = arg + 4, arg + 3 + charges do
    local key, debt = KEYS[charge + 1], 0
    local kept, at = string.match(redis.call('GET', key) or '', '^(%d+) (%d+)$')
    if kept then
      debt = math.max(0, kept - math.max(0, now - at) * rate)
    end
    local room = math.floor(math.max(0, capacity * length - debt) / length)
    local allowed = math.min(tonumber(ARGV[i]), room)
    if allowed > 0 then
      debt = debt + allowed * length
      local full_in = math.ceil(debt / rate)
      redis.call('SET', key, string.format('%d %d', debt, now), 'PX', full_in)
    end
    reply[#reply + 1], reply[#reply + 2] = allowed, debt
    charge = charge + 1
  end
  arg = arg + 4 + charges
end
return reply
