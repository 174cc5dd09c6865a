-- Times are in milliseconds, counts in requests.
--
-- Charges several callers in one step, with the arithmetic of fixed_window.settle. Charges of one
-- limit follow each other. For each charge
--   KEYS  two counters: of `window`, and of the one after it
-- and for each limit
--   ARGV  rate, length of a window, window (its number, by the client's clock), number of charges,
--         and for each of these the requests asked for
-- The reply begins with the server's time. For each charge follow two numbers: how many requests
-- were allowed, and the count of the current window (with them). Allowed is -1, and nothing is
-- charged, if the server's clock is neither in `window` nor in the next one.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local reply, charge, arg = {now}, 0, 1
while arg < #ARGV do
  local rate, length, window, charges =
    tonumber(ARGV[arg]), tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2]), tonumber(ARGV[arg + 3])
  local ahead = math.floor(now / length) - window
  for i = arg + 4, arg + 3 + charges do
    local allowed, count = -1, 0
    if ahead == 0 or ahead == 1 then
      local key = KEYS[2 * charge + 1 + ahead]
      count = tonumber(redis.call('GET', key) or 0)
      allowed = math.max(0, math.min(tonumber(ARGV[i]), rate - count))
      if allowed > 0 then
        count = count + allowed
        redis.call('SET', key, string.format('%d', count), 'PX', length)
      end
    end
    reply[#reply + 1], reply[#reply + 2] = allowed, count
    charge = charge + 1
  end
  arg = arg + 4 + charges
end
return reply
