-- Charges several callers in one step, each for itself, by one `algorithm`: see above for its KEYS,
-- for what it is told of a limit, and for its counts. Charges of one limit follow each other. For
-- each limit
--   ARGV  the three numbers of the algorithm, number of charges, and for each of these the requests
--         asked for
-- The reply begins with the server's time in milliseconds. For each charge follow how many requests
-- were allowed, and its counts (with them). Allowed is -1, and nothing is charged, where the charge
-- cannot be read.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local read, add, keys, counts = algorithm.read, algorithm.add, algorithm.keys, algorithm.counts
local reply, at, arg = {now}, 0, 1
while arg < #ARGV do
  local rate, length, third, charges =
    tonumber(ARGV[arg]), tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2]), tonumber(ARGV[arg + 3])
  for i = arg + 4, arg + 3 + charges do
    local left, first, second = read(at, rate, length, third, now)
    local allowed = -1
    if left then
      allowed = math.max(0, math.min(tonumber(ARGV[i]), left))
      if allowed > 0 then
        first, second = add(at, rate, length, third, now, allowed, first, second)
      end
    end
    local last = #reply
    reply[last + 1], reply[last + 2] = allowed, first
    if counts == 2 then
      reply[last + 3] = second
    end
    at = at + keys
  end
  arg = arg + 4 + charges
end
return reply
