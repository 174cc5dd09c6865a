-- Charges the limits of several requests in one step, and of each request all limits or none; by
-- `algorithms`: see above for their KEYS, what they are told of a limit, and their counts. For each
-- request
--   ARGV  how to charge, and number of charges
-- and for each of these
--   ARGV  place of its algorithm in `algorithms`, the three numbers of that, and the cost in requests
-- How to charge: 0, all if each has room for its cost; 1, all whether they have or not; 2, the same,
-- and in the window that is named, though it may be over.
--
-- The reply begins with the server's time in milliseconds. For each charge follow three numbers:
-- whether there is room for its cost (1, or else 0), and two counts (with the cost, if it was charged;
-- the second is 0 where there is one). In place of the first is -1 where the charge cannot be read:
-- then nothing is charged of its request.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function read(arg, at, how)
  local charge = {
    algorithm = algorithms[tonumber(ARGV[arg])], at = at, now = now,
    rate = tonumber(ARGV[arg + 1]), length = tonumber(ARGV[arg + 2]),
    third = tonumber(ARGV[arg + 3]), cost = tonumber(ARGV[arg + 4]),
  }
  if how == 2 and charge.algorithm.has_windows then
    charge.now = math.min(now, (charge.third + 1) * charge.length - 1)
  end
  local left, first, second = charge.algorithm.read(
    at, charge.rate, charge.length, charge.third, charge.now)
  charge.first, charge.second = first, second or 0
  charge.verdict = left == nil and -1 or math.max(0, left) >= charge.cost and 1 or 0
  return charge
end

local function add(charge)
  local first, second = charge.algorithm.add(
    charge.at, charge.rate, charge.length, charge.third, charge.now, charge.cost,
    charge.first, charge.second)
  charge.first, charge.second = first, second or 0
end

local reply, at, arg = {now}, 0, 1
while arg < #ARGV do
  local how, number = tonumber(ARGV[arg]), tonumber(ARGV[arg + 1])
  local charges, has_room, is_read = {}, true, true
  arg = arg + 2
  for i = 1, number do
    local charge = read(arg, at, how)
    charges[i], arg, at = charge, arg + 5, at + charge.algorithm.keys
    has_room = has_room and charge.verdict == 1
    is_read = is_read and charge.verdict ~= -1
  end
  for _, charge in ipairs(charges) do
    if is_read and charge.cost ~= 0 and (has_room or how > 0) then
      add(charge)
    end
    reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] =
      charge.verdict, charge.first, charge.second
  end
end
return reply
